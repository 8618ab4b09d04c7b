-- The numbers and ids of a feed's erased events.
select seq, id from events.log where feed = $1 and sha256 is not null
