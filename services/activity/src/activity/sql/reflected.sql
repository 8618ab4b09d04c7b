-- What the views show of a projection ($1); `heard_to`: where the archive ends.
select
    s.version, s.position, (select b.position from projections.build b where b.id = s.build) as built_to,
    (select last_number from archive_counter) as heard_to,
    (select a.heard_at from archive a where a.number = s.position) as reflects
from projections.shown s where s.projection = $1
