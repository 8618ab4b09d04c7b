-- A build's position, held until the transaction ends; where the archive ends.
select b.position, (select last_number from archive_counter) as last_number
from projections.build b where b.id = $1 for update of b
