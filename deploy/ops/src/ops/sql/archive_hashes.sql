-- What activity's archive holds of a feed after a number ($2) and up to another, in order, with the hash of what it says.
select seq, event_id as id, sha256 is not null as is_erased, sha256(convert_to(data::text, 'UTF8')) as hash
from archive
where feed = $1 and seq > $2 and seq <= $3
order by seq
limit $4
