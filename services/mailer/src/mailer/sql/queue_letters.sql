-- Letters to send, one a row of the arrays; a letter that is already there stays as it is.
insert into letter (
    id, expires_at, kind, cause, subject, correlation_id, traceparent, happened_at, locale, message_id, sealed
)
select * from unnest(
    $1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[],
    $9::text[], $10::text[], $11::text[]
)
on conflict (id) do nothing
