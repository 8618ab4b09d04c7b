-- Which to-do a letter tells of: news that is no longer true expires. Expired letters are looked for each second.
alter table letter add column todo_id uuid;
update letter set todo_id = (facts::json ->> 'todo_id')::uuid where facts is not null;
create index letter_todo on letter (todo_id) where todo_id is not null and settled_at is null;
create index letter_expires_at on letter (expires_at) where state = 'queued';
