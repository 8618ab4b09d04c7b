-- Which of a person's to-dos had events after a number, with the number of the last one, in that order.
select c.position, c.aggregate as changed, t.*
from (
    select aggregate, max(seq) as position from events.log
    where feed = 'TODOS' and subject = $1 and seq > $2
    group by aggregate order by position limit $3
) c
left join todo t on t.id = c.aggregate and not t.deleted
order by c.position
