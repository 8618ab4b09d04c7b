-- Addresses that work again since a moment each, unless they refused a letter after it. Whose were suppressed, and which
-- number that has among what was said of them.
with before as (
    select c.user_id, c.suppressed_at is not null as was_suppressed
    from contact c join unnest($1::uuid[], $2::timestamptz[]) as n (user_id, at) using (user_id)
    where c.refused_at < n.at
    for update of c
), after as (
    update contact c set
        refusals = 0, refused_at = null, suppressed_at = null,
        address_version = c.address_version + case when b.was_suppressed then 1 else 0 end
    from before b
    where c.user_id = b.user_id
    returning c.user_id, c.address_version as version, b.was_suppressed
)
select user_id, version from after where was_suppressed
