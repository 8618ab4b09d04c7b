-- How many rows are kept as erased though nobody is to be erased, and the first of them.
select count(*) as rows, min(number) as first from archive a
where typed_sha256 is not null and not exists (select from events.erasure e where e.subject = a.subject)
