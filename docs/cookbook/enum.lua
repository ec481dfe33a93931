-- Free text to the labels of an enum (CREATE TYPE order_state AS ENUM ('new', 'paid', 'shipped', 'cancelled')). What is
-- not in the table is rejected: a default would hide that a label is missing.

local labels = {
  ["new"] = "new", ["open"] = "new", ["created"] = "new",
  ["paid"] = "paid", ["payed"] = "paid", ["payment received"] = "paid",
  ["shipped"] = "shipped", ["sent"] = "shipped",
  ["cancelled"] = "cancelled", ["canceled"] = "cancelled", ["storno"] = "cancelled",
}

return function(row)
  if row.status == nil then
    return nil
  end
  local label = labels[row.status:lower():gsub("[%s_]+", " "):match("^ ?(.-) ?$")]
  if not label then
    pawl.reject("no state for \"" .. row.status .. "\"")
  end
  return { state = label }
end
