-- Forgets a person's device.
delete from device where id = $1 and user_id = $2 returning id
