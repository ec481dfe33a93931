-- E-mail addresses in one spelling: no blanks and no "mailto:" around, the domain in lower case. The part before the @
-- belongs to the mail server and keeps its case. A row whose address is fine is left alone.

return function(row)
  if row.email == nil then
    return nil
  end
  local text = row.email:match("^%s*<?(.-)>?%s*$"):gsub("^[mM][aA][iI][lL][tT][oO]:", "")
  local mailbox, domain = text:match("^([^%s@]+)@([%w.-]+%.%a%a+)%.?$")
  if not mailbox or domain:find("..", 1, true) or mailbox:find("..", 1, true) then
    pawl.reject("not an e-mail address")
  end
  local clean = mailbox .. "@" .. domain:lower()
  if clean == row.email then
    return nil
  end
  return { email = clean }
end
