-- Where a delivery goes: a device, or a number that a code is on its way to.
select service, address, p256dh, auth, locale from device where id = $1 and user_id = $2
union all
select 'sms', number, null, null, locale from phone_challenge where id = $1 and user_id = $2
