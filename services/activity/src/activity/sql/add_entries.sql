-- Adds log entries from events of one feed; how many of them found no month.
with added as (
    insert into entry (feed, seq, id, user_id, action, details, at)
    select $1, e.*
    from unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[], $7::timestamptz[])
        as e (seq, id, user_id, action, details, at)
    returning tableoid
)
select count(*) from added where tableoid = 'entry_other'::regclass
