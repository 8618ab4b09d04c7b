-- Which of these keys have something parked: what comes for them now waits behind it. Not the erased: of them nothing is kept,
-- and nobody becomes so before the transaction ends.
select distinct p.key from events.parked p
where p.consumer = $1 and p.feed = $2 and p.key = any ($3::uuid[])
    and p.key not in (select events.erased_among($3::uuid[]))
