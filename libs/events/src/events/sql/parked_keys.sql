-- Which of these keys have something parked: what comes for them now waits behind it.
select distinct key from events.parked where consumer = $1 and feed = $2 and key = any ($3::uuid[])
