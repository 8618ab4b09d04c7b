-- Everything that todos holds about a person, as one JSON document.
select json_build_object(
    'todos', (select coalesce(json_agg(t order by t.created_at, t.id), '[]') from todo t where t.user_id = $1),
    'events', (
        select coalesce(json_agg(e order by e.seq), '[]') from (
            select seq, id, type, time, data from events.log where subject = $1
        ) e
    )
)::text
