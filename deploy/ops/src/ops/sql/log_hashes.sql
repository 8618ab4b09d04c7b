-- Some of a feed's events after a number ($2) and up to another, in order, with the hash of what they say.
select seq, id, sha256 is not null as is_erased, sha256(convert_to(data::text, 'UTF8')) as hash
from events.log
where feed = $1 and seq > $2 and seq <= $3
order by seq
limit $4
