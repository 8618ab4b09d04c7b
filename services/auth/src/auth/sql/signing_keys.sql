-- Every signing key, also those that may be dropped.
select kid, wrapped, signs_from, drop_after from signing_key order by signs_from, kid
