-- A title to what may stand in an address: "Crème Brûlée — for two!" -> "creme-brulee-for-two". The id at its end keeps
-- two equal titles apart, so that a UNIQUE constraint on the column holds.

local plain = {}
for ascii, letters in pairs({
  a = "àáâãåāÀÁÂÃÅĀ", ae = "äæÄÆ", c = "çćčÇĆČ", e = "èéêëēÈÉÊËĒ", i = "ìíîïÌÍÎÏ", n = "ñńÑŃ", o = "òóôõøÒÓÔÕØ", oe = "öœÖŒ",
  s = "śšŚŠ", ss = "ß", u = "ùúûÙÚÛ", ue = "üÜ", y = "ýÿÝ", z = "źżžŹŻŽ",
}) do
  for _, code in utf8.codes(letters) do
    plain[utf8.char(code)] = ascii
  end
end

return function(row)
  local slug = row.title:gsub(utf8.charpattern, plain):lower():gsub("[^a-z0-9]+", "-"):gsub("^%-+", ""):gsub("%-+$", "")
  slug = slug:sub(1, 60):gsub("%-+$", "")
  return { slug = slug == "" and tostring(row.id) or slug .. "-" .. row.id }
end
