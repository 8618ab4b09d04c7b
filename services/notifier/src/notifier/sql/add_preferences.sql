-- Rows for people who have none yet. A statement of its own: what somebody chooses at this moment is waited for, and the
-- next statement sees it.
insert into preference (user_id)
select user_id from unnest($1::uuid[]) as n (user_id) order by user_id
on conflict (user_id) do nothing
