-- Prices as people and spreadsheets write them, to the text of a numeric: digits stay text, a double could not hold 0.10.
-- "12.50" "$1,299.00" "1.299,00 €" "EUR 7" "-3"; what is ambiguous ("1,299" could be either) is rejected.

local function plain(whole, cents)
  return cents and whole .. "." .. cents or whole
end

local function parse(text)
  local sign, body = text:gsub("[%a€$£%s\u{a0}]", ""):match("^(-?)(.*)$")

  if body:match("^%d+$") then
    return sign .. body
  end
  -- one separator and two digits: cents, whatever the separator is
  local whole, cents = body:match("^(%d+)[.,](%d%d?)$")
  if whole then
    return sign .. plain(whole, cents)
  end
  -- two kinds of separators: the last one is the decimal one, the others stand between groups of three
  for _, style in ipairs({ { group = ",", point = "%." }, { group = "%.", point = "," } }) do
    whole, cents = body:match("^(%d%d?%d?[" .. style.group .. "%d]*)" .. style.point .. "(%d%d?)$")
    if whole and whole:gsub(style.group .. "%d%d%d", ""):match("^%d%d?%d?$") then
      return sign .. plain(whole:gsub(style.group, ""), cents)
    end
  end
end

return function(row)
  if row.price == nil or row.price:match("^%s*$") or row.price:upper() == "N/A" then
    return { price_amount = pawl.null }
  end
  local amount = parse(row.price)
  if not amount then
    pawl.reject("not a price: " .. row.price)
  end
  return { price_amount = amount }
end
