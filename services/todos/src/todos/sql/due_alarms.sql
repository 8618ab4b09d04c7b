-- The to-dos that the clock has to look at, longest due first, after one of this time and id.
select * from todo where alarm_at <= $1 and (alarm_at, id) > ($3::timestamptz, $4::uuid) order by alarm_at, id limit $2
