-- What a consumer parked of a feed beyond a number, and what an operator gave up there.
select
    (select count(*) from events.parked where consumer = $1 and feed = $2 and seq > $3) as parked,
    (select count(*) from events.discarded where consumer = $1 and feed = $2 and seq > $3 and act is not null) as given_up
