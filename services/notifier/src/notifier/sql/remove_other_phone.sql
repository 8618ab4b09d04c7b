-- Forgets a person's phone, unless it has this number.
delete from device where user_id = $1 and service = 'sms' and address <> $2
