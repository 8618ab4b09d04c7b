-- What an inbox holds after a number, oldest first, beside its last number, in one snapshot: what is missing is gone.
select i.last_number, n.* from inbox i
left join lateral (
    select id, number, kind, data, silent, at, read_at from notification n
    where n.user_id = i.user_id and n.number > $2
    order by n.number
    limit $3
) n on true
where i.user_id = $1
order by n.number
