-- Where a delivery goes, and until when its person is not to be disturbed.
select d.service, d.address, d.p256dh, d.auth, d.locale, p.do_not_disturb_until
from device d
left join preference p on p.user_id = d.user_id
where d.id = $1 and d.user_id = $2
