-- Bytes that were encrypted with one key, encrypted with another. Both keys come from the environment: pawl.yaml has
-- `secrets: [OLD_KEY, NEW_KEY]`. A row that the old key does not open fails: it is not the old key's.
-- `redact: [token]` in the step keeps the values out of messages.

return function(row)
  if row.token == nil then
    return nil
  end
  return { token_new = pawl.encrypt(pawl.secret.NEW_KEY, pawl.decrypt(pawl.secret.OLD_KEY, row.token)) }
end
