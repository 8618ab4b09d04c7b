-- A person's devices, the newest first.
select id, service, locale, created_at from device where user_id = $1 order by created_at desc
