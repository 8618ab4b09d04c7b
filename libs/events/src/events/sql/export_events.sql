-- A page ($2) of the events about a person ($1) after one: each as JSON, and its number. They are of one feed, as each person's are in
-- every service: auth's other feed has codes, whose subjects are challenges.
select row_to_json(e)::text, seq
from (
    select seq, id, type, time, data from events.log where subject = $1 and seq > $3 order by seq limit $2
) e
order by seq
