-- Takes away what is known of up to $2 to-dos of an erased person.
with gone as (
    delete from known_todo where id in (select id from known_todo where user_id = $1 limit $2) returning 1
)
select count(*)::int from gone
