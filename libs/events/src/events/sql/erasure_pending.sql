-- People of whom something may be left in this database, oldest first.
select subject from events.erasure where erased_at is null order by heard_at limit $1
