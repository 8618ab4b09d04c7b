-- A person's devices but the phone, the newest first.
select id, service, locale, created_at from device where user_id = $1 and service <> 'sms' order by created_at desc
