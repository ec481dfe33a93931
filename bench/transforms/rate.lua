-- As little as a transform can do: what is measured is the way in and out.
return function(row)
  return { price_amount = row.price }
end
