-- What is due is gone through page by page, also where many are due at one moment: an index in that order, time and id.
create index if not exists todo_alarm_in_order on todo (alarm_at, id) where alarm_at is not null;
create index if not exists todo_purge_in_order on todo (updated_at, id) where deleted;
drop index if exists todo_alarm;
drop index if exists todo_purge;
