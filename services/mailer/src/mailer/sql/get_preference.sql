-- Which letters a person does not want.
select version, "off" from preference where user_id = $1
