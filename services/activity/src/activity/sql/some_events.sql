-- Those events of the archive that have one of some numbers ($1), without those of the erased.
select number, feed, seq, type, subject, time, published_at, heard_at, data from archive a
where number = any($1::bigint[]) and sha256 is null
    and not exists (select from events.erasure g where g.subject = a.subject)
order by number
