-- Ends the sessions of who reads figures and nothing else whose transaction lasts longer than $1; how many. The service's
-- role sees those whose roles were granted to it.
select count(*)::int
from (
    select pg_terminate_backend(pid) as is_ended
    from pg_stat_activity
    where datname = current_database() and xact_start < clock_timestamp() - $1::interval
        and has_schema_privilege(usesysid, 'analytics', 'usage')
        and not has_table_privilege(usesysid, 'projections.build', 'select')
) sessions
where is_ended
