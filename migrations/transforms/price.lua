-- A price as people type it to the text of a numeric(10,2):
--
--   "$12.50" -> "12.50"    "12.5" -> "12.5"    " 1,299.00 " -> "1299.00"    "N/A" -> NULL    NULL -> NULL
--
-- The digits stay text all the way: a Lua number is a double, which cannot hold 0.10. Whatever is no price stops the
-- run with its text and its key; a guess would be wrong in silence.

local M = {}

-- "1,299" -> "1299"; nil when the commas do not stand between groups of three digits.
local function whole_number(text)
  if not text:find(",", 1, true) then
    return text:match("^%d+$")
  end
  local first, rest = text:match("^(%d%d?%d?)(,[%d,]+)$")
  if not first or rest:gsub(",%d%d%d", "") ~= "" then
    return nil
  end
  return first .. rest:gsub(",", "")
end

local function parse(text)
  local whole, cents = text:match("^%s*%$?(%d+)%.?(%d?%d?)%s*$") -- most prices: one look
  if whole then
    return cents == "" and whole or whole .. "." .. cents
  end
  if text:match("^%s*N/A%s*$") then
    return pawl.null
  end

  local number = text:match("^%s*%$?(.-)%s*$")
  local before, after = number:match("^([%d,]+)%.(%d%d?)$")
  local digits = whole_number(before or number)
  if not digits then
    pawl.reject(string.format("not a price: %q", text))
  end
  return after and digits .. "." .. after or digits
end

function M.row(row)
  if row.price == nil then
    return nil -- the new column is NULL already: leave the row alone
  end
  return { price_amount = parse(row.price) }
end

return M
