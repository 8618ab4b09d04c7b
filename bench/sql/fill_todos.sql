-- $1 to-dos of $2 people, a tenth of them the first one's: half open, a tenth deleted, Korean and English titles.
insert into todo (
    id, user_id, version, title, description, priority, completed, due_at, created_at, updated_at, deleted, deleted_at
)
select
    uuidv7(make_interval(secs => n - $1)), md5('person ' || who)::uuid, 1,
    words[1 + n % 7] || ' ' || words[1 + n % 5] || ' ' || md5(n::text), case when n % 3 = 0 then '저지방으로 두 팩' end,
    1 + n % 5, (n / 10) % 2 = 0, case when n % 4 > 0 then now() + make_interval(hours => n % 2000 - 1000) end,
    now() + make_interval(secs => n - $1), now(), (n / 20) % 10 = 0, case when (n / 20) % 10 = 0 then now() end
from (
    select
        n, case when n % 10 = 1 then 0 else 1 + (n * 7919::bigint) % ($2 - 1) end as who,
        array['우유', '사기', 'buy', 'milk', '회의', 'report', '운동'] as words
    from generate_series(1, $1::int) as n
) each
