-- Tells every process whose inboxes changed, a payload a row. On its own, after the commit of what changed them.
select pg_notify('inbox', p) from unnest($1::text[]) p
