-- How many rows a view has, counted up to a limit.
select count(*) from (select from analytics.{view} where {filters} limit {limit}) counted
