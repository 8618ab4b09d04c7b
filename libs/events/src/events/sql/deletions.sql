-- A batch of a feed's messages that its stream may still hold although their events are erased, up to a number.
select d.seq, l.id from events.deletion d join events.log l on l.feed = d.feed and l.seq = d.seq
where d.feed = $1 and d.seq <= $2 order by d.seq limit $3
