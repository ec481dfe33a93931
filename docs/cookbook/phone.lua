-- Telephone numbers to E.164 (+49301234567). A number without a country gets the one of its row, or that of
-- `-x country=49`. Only length and digits are checked: whether a number is in use, nobody knows here.

local codes = { DE = "49", FR = "33", GB = "44", US = "1" }

return function(row)
  if row.phone == nil then
    return nil
  end
  local text = row.phone:gsub("%(0%)", ""):gsub("[%s()/.-]", "")
  local digits = text:match("^%+(%d+)$") or text:match("^00(%d+)$")
  if not digits then
    local code = codes[row.country or ""] or pawl.x.country
    local national = text:match("^%d+$")
    if not code or not national then
      pawl.reject("not a telephone number: " .. row.phone)
    end
    digits = code .. national:gsub("^0", "")
  end
  if #digits < 8 or #digits > 15 then
    pawl.reject("a telephone number has 8 to 15 digits: " .. row.phone)
  end
  return { phone_e164 = "+" .. digits }
end
