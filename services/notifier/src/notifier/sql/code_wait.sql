-- How many seconds until a code may be asked for: a minute after the last one and a day after the fifth last, of a person and to
-- a number ($2: its hashes, one a key), whoever asked; null: now.
select extract(epoch from max(over_at) - $3::timestamptz)::float8
from (
    (select asked_at + interval '1 minute' as over_at from phone_challenge where user_id = $1 order by asked_at desc limit 1)
    union all
    (
        select asked_at + interval '24 hours' from phone_challenge where user_id = $1
        order by asked_at desc offset 4 limit 1
    )
    union all
    (
        select asked_at + interval '1 minute' from number_asked where number_hash = any ($2::bytea[])
        order by asked_at desc limit 1
    )
    union all
    (
        select asked_at + interval '24 hours' from number_asked where number_hash = any ($2::bytea[])
        order by asked_at desc offset 4 limit 1
    )
) waits
where over_at > $3::timestamptz
