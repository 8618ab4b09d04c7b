-- The to-dos that the clock has to look at, longest due first.
select * from todo where alarm_at <= $1 order by alarm_at limit $2
