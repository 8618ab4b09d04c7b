-- A person's address refused a letter ($2: now). Those within an hour count as one: a mail server may be wrong for a while.
-- The third in a row suppresses it. Which number that has among what was said of the address
-- ($3), by the log: a row that was restored from a copy may be older. Null for nothing new.
with before as (
    select
        user_id, suppressed_at is not null as is_suppressed,
        refusals + case when refused_at > $2::timestamptz - interval '1 hour' then 0 else 1 end as refusals,
        coalesce((select max(l.version) from events.log l where l.feed = 'MAILER' and l.aggregate = $3), 0) as said
    from contact where user_id = $1 for update
), after as (
    update contact c set
        refusals = b.refusals,
        refused_at = case when b.refusals > c.refusals then $2::timestamptz else c.refused_at end,
        suppressed_at = case when b.refusals >= 3 then coalesce(c.suppressed_at, $2::timestamptz) end,
        address_version = greatest(c.address_version, b.said) + case when b.refusals >= 3 and not b.is_suppressed then 1 else 0 end
    from before b
    where c.user_id = b.user_id
    returning c.address_version, b.refusals >= 3 and not b.is_suppressed as is_news
)
select address_version from after where is_news
