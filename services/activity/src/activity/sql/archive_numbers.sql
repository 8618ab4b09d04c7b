-- The archive's own numbers: the last that was given, how many there are, the first and the last of them.
select c.last_number, n.*
from archive_counter c, (select count(*) as rows, count(distinct number) as numbers, min(number) as first, max(number) as last from archive) n
