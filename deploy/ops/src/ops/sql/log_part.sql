-- Some of a feed's events after a number ($2) and up to another, in order: what they are, whether they are erased, and whether
-- their message is still to be deleted.
select l.seq, l.id, l.type, l.sha256 is not null as is_erased, d.seq is not null as is_due
from events.log l left join events.deletion d on d.feed = l.feed and d.seq = l.seq
where l.feed = $1 and l.seq > $2 and l.seq <= $3
order by l.seq
limit $4
