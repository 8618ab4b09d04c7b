-- How many rows a build ($1) has from a number on, up to another ($2, $3), and what they add up to, whatever their order.
select count(*) as rows, coalesce(sum(hash_record_extended(({columns}), 0)::numeric), 0) as total
from projections.{part} where build = $1 and number > $2 and number <= $3
