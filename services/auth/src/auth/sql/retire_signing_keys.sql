-- Has every signing key be over at a time, or before it where that was settled before.
update signing_key set drop_after = $1 where drop_after is null or drop_after > $1
