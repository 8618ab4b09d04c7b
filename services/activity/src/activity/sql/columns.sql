-- What the columns of the views are called, of which type they are, and what they mean.
select
    c.relname as view, a.attname as name, format_type(a.atttypid, null) as type,
    col_description(c.oid, a.attnum) as meaning
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v' and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
