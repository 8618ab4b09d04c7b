-- Where an inbox stands.
select last_number, (select count(*) from notification n where n.user_id = i.user_id and n.read_at is null) as unread
from inbox i
where user_id = $1
