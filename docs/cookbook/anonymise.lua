-- People to nobody in particular, for a copy of the database that developers may have. The same person becomes the same
-- nobody everywhere (joins and duplicates stay), and nobody can be turned back without the key (`secrets: [ANON_KEY]`).

local first = { "Alex", "Robin", "Kim", "Sam", "Charlie", "Noor", "Toni", "Jules" }
local last = { "Miller", "Rossi", "Novak", "Silva", "Yilmaz", "Larsen", "Kaya", "Moreau" }

local function pick(list, hash, at)
  return list[tonumber(hash:sub(at, at + 3), 16) % #list + 1]
end

return function(row)
  local hash = pawl.hmac(pawl.secret.ANON_KEY, (row.email or tostring(row.id)):lower())
  return {
    name = pick(first, hash, 1) .. " " .. pick(last, hash, 5),
    email = row.email and "user-" .. hash:sub(1, 12) .. "@example.invalid" or pawl.null,
    -- the year is what statistics need, the day is what identifies
    born = row.born and row.born:sub(1, 4) .. "-01-01" or pawl.null,
  }
end
