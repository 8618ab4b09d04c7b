-- Drops an erased person's inbox, tickets, choices and codes; how many.
with gone as (
    delete from inbox where user_id = $1 returning 1
), over as (
    delete from ticket where user_id = $1 returning 1
), chosen as (
    delete from preference where user_id = $1 returning 1
), asked as (
    delete from phone_challenge where user_id = $1 returning 1
)
select (
    (select count(*) from gone) + (select count(*) from over) + (select count(*) from chosen) + (select count(*) from asked)
)::int
