-- Forgets a person's oldest devices beyond twenty; a phone is not counted.
delete from device where id in (
    select id from device where user_id = $1 and service <> 'sms' order by created_at desc offset 20
)
