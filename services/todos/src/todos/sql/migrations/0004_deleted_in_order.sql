-- A person's deleted to-dos in the order of an export. `todo_deleted` has another: each page would read and sort them all, or everybody's.
create index if not exists todo_deleted_created on todo (user_id, created_at, id) where deleted;
