-- The rows of a view in the order of its grain.
select * from analytics.{view} where {filters} order by {grain}
