-- How many replicas a stream had when its history was given up last. A consumer's own act of that name says nothing of it.
select (chosen::jsonb ->> 'replicas')::int from events.act
where what = 'abandon' and chosen::jsonb ->> 'feed' = $1 and chosen::jsonb ? 'replicas'
order by at desc, id desc limit 1
