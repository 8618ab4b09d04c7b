-- Another login of a service's role: it may what the role may, under the same limits. So a password changes while both the old
-- and the new one work (docs/operations.md, Rotate a password of PostgreSQL). By the administrator, in any database.
select format('create role %I', :'login') where not exists (select from pg_roles where rolname = :'login') \gexec
alter role :"login" login inherit password :'password';
grant :"runtime" to :"login" with inherit true, set false;
select format('alter role %I set %s = %L', :'login', split_part(setting, '=', 1), split_part(setting, '=', 2))
from pg_roles, unnest(rolconfig) setting where rolname = :'runtime' \gexec
