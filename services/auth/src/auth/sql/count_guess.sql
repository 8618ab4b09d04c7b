-- Counts a guess before anybody compares it: at its challenge, and while the code lives in the address's streak. Tells
-- until when that was locked before: guesses that come together all saw it open.
with guess as (
    update challenge set guesses = guesses + 1
    where id = $1 and email = $2
    returning id, code_mac, pepper, expires_at, guesses, used_at
), counted as (
    insert into streak as s (key, wrong, updated_at)
    select $3, 1, $4 from guess where guesses <= $5 and used_at is null and expires_at > $4
    on conflict (key) do update
    set wrong = case when s.wrong + 1 >= $6 then 0 else s.wrong + 1 end,
        locked_until = case when s.wrong + 1 >= $6 then $7 else s.locked_until end,
        updated_at = excluded.updated_at
    returning old.locked_until
)
select id, code_mac, pepper, expires_at, guesses, used_at, locked_until from guess left join counted on true
