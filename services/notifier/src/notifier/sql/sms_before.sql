-- How many messages were under way to a person in the day before this one was written, it not counted.
select count(*)
from delivery d
join delivery e on e.user_id = d.user_id and e.channel = 'sms' and (e.created_at, e.id) < (d.created_at, d.id)
    and e.created_at > d.created_at - interval '24 hours' and e.state not in ('failed', 'expired')
where d.id = $1
