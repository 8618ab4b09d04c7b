-- When the stream took an event. By itself: its lock ends before the indexes that follow are made.
alter table archive add column published_at timestamptz;
