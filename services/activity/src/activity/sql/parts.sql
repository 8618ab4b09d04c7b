-- The tables of a projection ($1), each with its columns but `build`.
select
    p.name,
    (
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
        where a.attrelid = format('projections.%I', p.name)::regclass and a.attnum > 0 and not a.attisdropped
            and a.attname <> 'build'
    ) as columns
from projections.part p where p.projection = $1 order by p.name
