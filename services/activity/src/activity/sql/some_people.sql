-- Up to $1 of the people who are in the figures, others each time.
select user_id from (
    select distinct user_id from projections.action where build = (select build from projections.shown where projection = 'actions')
) people order by random() limit $1
