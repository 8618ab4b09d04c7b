-- Drops up to $2 rows of each table that tell of an erased person ($1), whatever the build; how many.
with actions as (
    delete from projections.action where (tableoid, ctid) in (
        select tableoid, ctid from projections.action where user_id = $1 limit $2
    )
    returning 1
), zones as (
    delete from projections.zone where (tableoid, ctid) in (
        select tableoid, ctid from projections.zone where user_id = $1 limit $2
    )
    returning 1
), sign_ins as (
    delete from projections.sign_in where (tableoid, ctid) in (
        select tableoid, ctid from projections.sign_in where user_id = $1 limit $2
    )
    returning 1
), messages as (
    delete from projections.message where (tableoid, ctid) in (
        select tableoid, ctid from projections.message where user_id = $1 limit $2
    )
    returning 1
)
select (
    (select count(*) from actions) + (select count(*) from zones) + (select count(*) from sign_ins)
    + (select count(*) from messages)
)::int
