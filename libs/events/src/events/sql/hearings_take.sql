-- Takes the oldest notes of what was heard, up to so many ($1), in order.
with taken as (
    delete from events.hearing
    where id in (select id from events.hearing order by id limit $1)
    returning id, consumer, feed, first_seq, at, waited_ms
)
select consumer, feed, first_seq, at, waited_ms from taken order by id
