-- Those of some events of a feed that the archive has.
select event_id from archive where feed = $1 and seq = any($2::bigint[])
