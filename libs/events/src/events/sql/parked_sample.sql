-- Some of the events that an act would be about.
select feed, seq, key, type, reason, detail from events.parked_first($1, $2, $3, $4, $5) order by feed, seq limit $6
