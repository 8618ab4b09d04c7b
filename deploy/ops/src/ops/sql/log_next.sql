-- What follows a number in a feed's log, without what it says.
select seq, type, subject as key, time, appended_at from events.log where feed = $1 and seq > $2 order by seq limit $3
