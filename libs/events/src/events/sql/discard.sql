-- Gives up what is chosen; what waited behind it is due. Callers hold the checkpoints. Returns the act and how many events.
with gone as (
    delete from events.parked p using events.parked_first($1, $2, $3, $4, $5) f
    where p.consumer = f.consumer and p.feed = f.feed and p.seq = f.seq
    returning p.consumer, p.feed, p.seq, p.key, p.type
), act as (
    insert into events.act (what, consumer, who, why, chosen, discarded)
    values ('discard', $1, $6, $7, $8, (select count(*) from gone))
    returning id, discarded
), noted as (
    insert into events.discarded (consumer, feed, seq, key, type, act)
    select gone.consumer, gone.feed, gone.seq, gone.key, gone.type, act.id from gone, act
), due as (
    update events.parked p set due_at = clock_timestamp(), reason = 'next', act = act.id
    from gone, act
    where p.consumer = gone.consumer and p.feed = gone.feed and p.seq = (
        select min(n.seq) from events.parked n
        where n.consumer = gone.consumer and n.feed = gone.feed and n.key = gone.key and n.seq > gone.seq
    )
)
select id, discarded as events from act
