-- What "durable" rests on, as this connection sees it.
select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')
