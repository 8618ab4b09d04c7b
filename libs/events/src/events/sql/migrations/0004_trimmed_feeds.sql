-- Only a feed that is declared so may lose rows: with the right to run `trim`, a role could else erase its audit log.
alter table events.feed add column trimmed boolean not null default false;

create or replace function events.trim(p_feed text, p_before timestamptz, p_limit int) returns bigint
language sql security definer set search_path = pg_catalog, events, pg_temp as $$
    with old as (
        select l.seq from events.log l join events.feed f on f.name = l.feed
        where l.feed = p_feed and f.trimmed and l.appended_at < p_before and l.seq < f.last_seq
        order by l.seq limit p_limit
    ), gone as (
        delete from events.log l using old where l.feed = p_feed and l.seq = old.seq returning 1
    )
    select count(*) from gone
$$;
