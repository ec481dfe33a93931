-- One column with a full name into two. Where a name begins is culture; here: "Last, First" as it says, else the family
-- name is the last word together with the particles before it. A single word is a family name.

local particles = { van = true, von = true, de = true, der = true, den = true, la = true, di = true, da = true, al = true }

return function(row)
  local name = row.full_name and row.full_name:gsub("%s+", " "):match("^ ?(.-) ?$")
  if not name or name == "" then
    return nil
  end

  local last, first = name:match("^([^,]+), ?(.+)$")
  if not last then
    local words = {}
    for word in name:gmatch("[^ ]+") do
      words[#words + 1] = word
    end
    local from = #words
    while from > 2 and particles[words[from - 1]:lower()] do
      from = from - 1
    end
    last = table.concat(words, " ", from)
    first = table.concat(words, " ", 1, from - 1)
  end
  return { first_name = first ~= "" and first or pawl.null, last_name = last }
end
