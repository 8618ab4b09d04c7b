-- What to-dos and their events take on disk: both tables, with what they keep apart, and each of their indexes.
select relname as name, pg_table_size(oid) as bytes from pg_class where oid in ('todo'::regclass, 'events.log'::regclass)
union all
select c.relname, pg_relation_size(c.oid)
from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid in ('todo'::regclass, 'events.log'::regclass)
order by name
