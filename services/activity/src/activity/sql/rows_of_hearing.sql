-- What is shown of events of some numbers ($1) as how long events took.
select number, feed, seq, reached, waited_ms from projections.hearing
where build = (select build from projections.shown where projection = 'hearing') and number = any($1::bigint[])
