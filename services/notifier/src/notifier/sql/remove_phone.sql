-- Forgets a person's phone.
delete from device where user_id = $1 and service = 'sms' returning id
