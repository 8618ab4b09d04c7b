-- What a letter tells besides its own event, oldest first; one that expires by itself (`expire_stale`) is told no more.
select cause, facts from letter where part_of = $1 and settled_at is null and expires_at is null order by happened_at, id
