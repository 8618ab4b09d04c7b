-- How many events an act gave up.
update events.act set discarded = $2 where id = $1
