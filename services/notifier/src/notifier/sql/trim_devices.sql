-- Forgets a person's devices beyond twenty, those first that registered longest ago; a phone is not counted.
delete from device where id in (
    select id from device where user_id = $1 and service <> 'sms' order by seen_at desc offset 20
)
