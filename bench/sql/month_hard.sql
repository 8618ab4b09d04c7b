-- How many actions a late word about a zone moved, and how many people were erased.
select
    (select count(*) from projections.action where delta < 0 and build = (
        select id from projections.build where projection = 'actions' and state = 'live'
    )) as moved,
    (select count(*) from events.erasure) as erased
