-- A person's phone.
select address as phone_number, seen_at as verified_at from device where user_id = $1 and service = 'sms'
