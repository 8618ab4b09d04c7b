-- DuckDB: what people did to their to-dos, and that they registered, with what their clocks showed: in the zone of the last
-- word before it, whenever that was heard.
create table doings as
with words as (select person, moment, zone from told where what in ('registered', 'moved'))
select d.person, d.todo, d.what, d.moment, timezone(coalesce(w.zone, 'Asia/Seoul'), d.moment) as wall
from (select * from told where feed = 'TODOS' or what = 'registered') d
asof left join words w on w.person = d.person and w.moment <= d.moment
