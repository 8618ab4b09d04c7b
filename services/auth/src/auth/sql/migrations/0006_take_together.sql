-- Takes for several requests at once: one from each allowance of a request, or from none of them. Gives for each request
-- how long to wait, nothing when all were taken. No two requests here share an allowance. One place in the arrays an
-- allowance: p_request says whose it is, p_now when that came; the rest is as in `take`, which the version before calls.
create function take_together(p_request int[], p_keys bytea[], p_steps interval[], p_bursts int[], p_now timestamptz[])
returns table (request int, wait interval) language plpgsql set search_path = public, pg_temp as $$
#variable_conflict use_column
begin
    insert into allowance (key, free_at)
    select r.key, r.now from unnest(p_keys, p_now) as r (key, now) order by r.key
    on conflict (key) do nothing;

    -- In the order of keys, so that nobody waits for who waits for them. What follows sees what was committed meanwhile.
    perform from allowance a where a.key = any (p_keys) order by a.key for update;

    return query
    with asked as (
        select r.request, r.key, r.step, r.now, a.free_at, a.free_at - r.step * (r.burst - 1) - r.now as wait
        from unnest(p_request, p_keys, p_steps, p_bursts, p_now) as r (request, key, step, burst, now)
        cross join lateral (select a.free_at from allowance a where a.key = r.key limit 1) a
    ), told as (
        select asked.request, greatest(max(asked.wait), interval '0') as wait from asked group by asked.request
    ), taken as (
        update allowance a set free_at = greatest(asked.free_at, asked.now) + asked.step
        from asked join told on told.request = asked.request
        where a.key = asked.key and told.wait = interval '0'
    )
    select told.request, told.wait from told order by told.request;
end
$$;
revoke all on function take_together from public;
grant execute on function take_together to :role;
