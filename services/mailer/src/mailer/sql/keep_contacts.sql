-- How to reach people who registered, one a row of the arrays.
insert into contact (user_id, sealed_contact, locale, timezone, registered_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
on conflict (user_id) do nothing
