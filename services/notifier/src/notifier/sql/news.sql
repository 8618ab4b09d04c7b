-- What an inbox holds after a number, oldest first, beside where it stands, in one snapshot: what is missing is gone.
with stands as materialized (
    select user_id, last_number,
        (select count(*) from notification u where u.user_id = i.user_id and u.read_at is null) as unread
    from inbox i where user_id = $1
)
select s.last_number, s.unread, n.* from stands s
left join lateral (
    select id, number, kind, data, silent, at, read_at from notification n
    where n.user_id = s.user_id and n.number > $2
    order by n.number
    limit $3
) n on true
order by n.number
