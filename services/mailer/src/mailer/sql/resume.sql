-- Addresses that work again since a moment each, unless they refused a letter after it. Whose were suppressed, and which
-- number that has among what was said of them ($3), by the log: a row that was restored from a copy may be older.
with before as (
    select
        c.user_id, c.suppressed_at is not null as was_suppressed,
        coalesce((select max(l.version) from events.log l where l.feed = 'MAILER' and l.aggregate = n.address), 0) as said
    from contact c join unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) as n (user_id, at, address) using (user_id)
    where c.refused_at < n.at
    for update of c
), after as (
    update contact c set
        refusals = 0, refused_at = null, suppressed_at = null,
        address_version = greatest(c.address_version, b.said) + case when b.was_suppressed then 1 else 0 end
    from before b
    where c.user_id = b.user_id
    returning c.user_id, c.address_version as version, b.was_suppressed
)
select user_id, version from after where was_suppressed
