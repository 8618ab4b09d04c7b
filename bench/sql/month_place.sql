-- Where the archive ends, and so many ($1) of the people who are in the figures.
select
    (select last_number from archive_counter) as position,
    (select array_agg(user_id) from (select distinct user_id from analytics.daily limit $1) someone) as people
