-- Keeps what is known of some to-dos now.
insert into known_todo (id, user_id, title, priority, completed)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::boolean[])
on conflict (id) do update set title = excluded.title, priority = excluded.priority, completed = excluded.completed
