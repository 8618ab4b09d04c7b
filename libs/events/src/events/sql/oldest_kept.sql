-- The number of a feed's oldest event that is not erased; null without one.
select seq from events.log where feed = $1 and sha256 is null order by seq limit 1
