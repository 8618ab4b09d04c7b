-- Aggregates among some whose versions have a gap.
select aggregate from events.log where feed = $1 and aggregate = any($2::uuid[])
group by aggregate having count(*) <> max(version)
