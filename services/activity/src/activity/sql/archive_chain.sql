-- How many rows there are after a number up to another one, and the head ($2, that of the first number) that they lead to.
-- A leaf is what a row is, in one hash. Stored hashes count for erased rows alone, or they would cover up an edit.
select count(number) as rows, archive_chain(link order by number nulls first) as head
from (
    select null::bigint as number, $2::bytea as link
    union all
    select a.number, sha256(convert_to(json_build_array(
        a.number, a.feed, a.seq, a.event_id, a.subject, a.aggregate, a.version,
        a.time at time zone 'UTC', a.heard_at at time zone 'UTC', a.published_at at time zone 'UTC',
        a.correlation_id, a.causation_id, a.actor, a.traceparent,
        encode(coalesce(case when e.erased then a.sha256 end, sha256(convert_to(e.data, 'UTF8'))), 'hex'),
        encode(coalesce(case when e.erased then a.typed_sha256 end, sha256(convert_to(a.type || e.data, 'UTF8'))), 'hex')
    )::text, 'UTF8'))
    from archive a
    cross join lateral (
        select a.data::text as data, a.type = 'core.Erased.v1' and a.data::text = '{}' as erased
    ) e
    where a.number > $1 and a.number <= $3
) links
