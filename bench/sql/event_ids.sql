-- The ids of events by their numbers in a feed.
select seq, id from events.log where feed = $1 and seq = any ($2::bigint[])
