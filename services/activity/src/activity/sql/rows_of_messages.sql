-- What is shown of events of some numbers ($1) as what became of messages.
select number, channel, kind, outcome, waited_ms from projections.message
where build = (select build from projections.shown where projection = 'messages') and number = any($1::bigint[])
