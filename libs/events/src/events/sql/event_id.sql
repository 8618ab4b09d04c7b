-- The id of one event by its number.
select id from events.log where feed = $1 and seq = $2
