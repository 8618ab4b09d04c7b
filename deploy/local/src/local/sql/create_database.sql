-- A service's database and its two roles: the owner migrates, the runtime role serves, and neither waits for ever.
select format('create role %I', role) from unnest(array[:'owner', :'runtime']) role
where not exists (select from pg_roles where rolname = role) \gexec
alter role :"owner" login password :'owner_password';
alter role :"owner" set lock_timeout = '10s';
alter role :"owner" set statement_timeout = '10min';
alter role :"owner" set idle_in_transaction_session_timeout = '1min';
alter role :"owner" set transaction_timeout = '15min';
alter role :"runtime" login password :'runtime_password';
alter role :"runtime" set lock_timeout = '2s';
alter role :"runtime" set statement_timeout = '5s';
alter role :"runtime" set idle_in_transaction_session_timeout = '5s';
alter role :"runtime" set transaction_timeout = '10s';
select format('create database %I owner %I template %I', :'name', :'owner', :'template')
where not exists (select from pg_database where datname = :'name') \gexec
revoke all on database :"name" from public;
grant connect on database :"name" to :"runtime";
-- Nor do its roles get into the databases that are everybody's.
revoke all on database postgres, template1 from public;
