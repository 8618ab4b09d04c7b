-- Opens a period each for people who are kept; one that is open stays as it is.
insert into open_period (user_id, period, first_day, since, due_at)
select n.* from unnest($1::uuid[], $2::text[], $3::date[], $4::timestamptz[], $5::timestamptz[])
    as n (user_id, period, first_day, since, due_at)
join person p on p.user_id = n.user_id
on conflict (user_id, period) do nothing
