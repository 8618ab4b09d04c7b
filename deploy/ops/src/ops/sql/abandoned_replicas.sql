-- How many replicas a stream had when its history was given up from a number ($2) on, for the call that does the rest: what
-- was done from another number says nothing of it, nor does a consumer's own act of that name.
select (chosen::jsonb ->> 'replicas')::int from events.act
where what = 'abandon' and chosen::jsonb ->> 'feed' = $1 and (chosen::jsonb ->> 'from')::bigint = $2
    and chosen::jsonb ? 'replicas'
order by at desc, id desc limit 1
