-- Which to-do a delivery tells of: news that is no longer true expires.
alter table delivery add column todo_id uuid;
update delivery set todo_id = (data ->> 'todo_id')::uuid where settled_at is null and data ->> 'todo_id' is not null;
create index delivery_todo on delivery (todo_id) where todo_id is not null and settled_at is null;
