-- A role that reads figures in a service's database and does nothing else in the cluster; what it may read the service's
-- migrations say. After the service's roles. Production runs this file too (services/activity/README.md, Analysts).
select format('create role %I', :'reader')
where not exists (select from pg_roles where rolname = :'reader') \gexec
alter role :"reader" login password :'reader_password' connection limit 5;
alter role :"reader" set default_transaction_read_only = on;
alter role :"reader" set lock_timeout = '2s';
alter role :"reader" set statement_timeout = '60s';
alter role :"reader" set idle_in_transaction_session_timeout = '10s';
alter role :"reader" set transaction_timeout = '120s';
grant connect on database :"name" to :"reader";
-- Any session may lift such limits for itself: so the service sees the reader's transactions and ends one that lasts.
grant :"reader" to :"runtime" with inherit true, set false;
\connect :"name"
-- What everybody may call that writes, or holds a lock for which the service waits.
select
    format('revoke execute on function %s from public', f.oid::regprocedure),
    format('grant execute on function %s to %I, %I', f.oid::regprocedure, :'owner', :'runtime')
from pg_proc f
where f.pronamespace = 'pg_catalog'::regnamespace
    and f.proname ~ '^(lo_(creat|create|from_bytea)|pg_(try_)?advisory_.*|pg_logical_emit_message)$' \gexec
