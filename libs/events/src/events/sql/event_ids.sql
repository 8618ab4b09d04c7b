-- The ids of the events from one number to another.
select seq, id from events.log where feed = $1 and seq between $2 and $3
