-- Where a consumer stands in a feed; the first look begins at nothing. An update, not `do nothing`: of two first looks
-- at once, the later one would see neither its own row nor the other's.
insert into events.checkpoint as c (consumer, feed) values ($1, $2)
on conflict (consumer, feed) do update set seq = c.seq
returning seq, event_id
