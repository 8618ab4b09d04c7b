-- Whether there is a signing key that is not over.
select exists (select from signing_key where drop_after is null or drop_after > $1)
