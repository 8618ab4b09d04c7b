-- The last number of a feed that the archive has; 0 for none.
select coalesce(max(seq), 0) from archive where feed = $1
