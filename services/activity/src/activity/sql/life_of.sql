-- What the archive says of a person ($1) up to a number ($2), in its order.
select number, type, time, data from archive
where subject = $1 and number <= $2 and feed in ('AUTH', 'TODOS') and sha256 is null order by number
