-- A number that must be found again but not read: HMAC-SHA-256 with a key from the environment (`secrets: [HASH_KEY]`).
-- Without a key, all numbers of a country could be hashed and compared in an hour. Blanks and case do not count.

return function(row)
  if row.tax_number == nil then
    return nil
  end
  local normal = row.tax_number:gsub("[%s.-]", ""):upper()
  return { tax_number_hash = pawl.hmac(pawl.secret.HASH_KEY, normal) }
end
