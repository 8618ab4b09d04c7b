-- A code that a person asked for, counted for its number ($9: the hash), and its message on the way.
with counted as (
    insert into number_asked (number_hash, asked_at) values ($9, $5)
), asked as (
    insert into phone_challenge (id, user_id, number, locale, asked_at, expires_at)
    values ($1, $2, $3, $4, $5, $6)
    returning id, user_id, asked_at, expires_at
)
insert into delivery (
    id, expires_at, channel, service, device_id, user_id, cause, kind, data, correlation_id, traceparent, happened_at
)
select uuidv7(), expires_at, 'sms', 'sms', id, user_id, id, 'phone_code', '{}', $7, $8, asked_at from asked
