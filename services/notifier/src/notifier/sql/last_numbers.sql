-- Where the inboxes of these people stand.
select user_id, last_number from inbox where user_id = any ($1::uuid[])
