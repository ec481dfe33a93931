-- A jsonb document from its first shape to the second:
--   {"street": "...", "city": "...", "tags": "a, b"}  ->  {"version": 2, "address": {"street", "city"}, "tags": ["a", "b"]}
-- Whatever else the document holds stays, with the digits of its numbers. A document of version 2 is left alone, so
-- that rows which the application writes meanwhile may come by.

return function(row)
  local doc = row.profile
  if type(doc) ~= "table" or doc.version == 2 then
    return nil
  end

  local tags = pawl.json.array()
  for tag in (doc.tags or ""):gmatch("[^,%s]+") do
    tags[#tags + 1] = tag
  end
  doc.version = 2
  doc.address = { street = doc.street or pawl.null, city = doc.city or pawl.null }
  doc.tags = tags
  doc.street, doc.city = nil, nil
  return { profile = doc }
end
