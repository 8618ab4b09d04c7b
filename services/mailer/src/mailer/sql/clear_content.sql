-- What a letter says is forgotten in the transaction that settles it, by the holder of its claim alone.
update letter set sealed = null, facts = null where id = $1 and token = $2
