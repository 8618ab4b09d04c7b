-- How many rows a build ($1) has up to a number ($2), and what they add up to, whatever their order.
select count(*) as rows, coalesce(sum(hash_record_extended(({columns}), 0)::numeric), 0) as total
from projections.{part} where build = $1 and number <= $2
