-- The ids of the events from one number to another, and which of them are erased.
select seq, id, sha256 is not null as is_erased from events.log where feed = $1 and seq between $2 and $3
