-- The stream holds these messages no more.
delete from events.deletion where feed = $1 and seq = any ($2::bigint[])
