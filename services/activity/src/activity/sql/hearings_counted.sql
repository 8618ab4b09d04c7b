-- How long events took, as the archive says after a number ($2) up to another ($3), for a build ($1): to the stream, to here,
-- and to the consumers that tell of it.
insert into projections.hearing (build, number, feed, seq, reached, at, waited_ms)
select $1::int, a.number, a.feed, a.seq, r.reached, a.time, greatest(0, floor(extract(epoch from r.at - a.time) * 1000))::bigint
from archive a cross join lateral (values ('stream', a.published_at), ('activity', a.heard_at)) r (reached, at)
where a.number > $2 and a.number <= $3 and r.at is not null
union all
select
    $1::int, a.number, e.feed, b.first + w.nr - 1, e.consumer,
    b.at - w.waited::bigint * interval '1 millisecond', w.waited::bigint
from archive a
-- Taken apart once an event: each `->>` in a row would read the whole document again.
cross join lateral json_to_record(a.data) e (consumer text, feed text, batches json)
cross join lateral json_to_recordset(e.batches) b (first bigint, at timestamptz, waited_ms json)
cross join lateral json_array_elements_text(b.waited_ms) with ordinality w (waited, nr)
where a.number > $2 and a.number <= $3 and a.type = 'core.EventsHeard.v1'
