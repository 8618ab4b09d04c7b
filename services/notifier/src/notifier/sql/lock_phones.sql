-- Locks a person's phone, and whoever's has this number, in one order: two who exchange numbers do not wait for each other.
select from device where service = 'sms' and (user_id = $1 or address = $2) order by address for update
