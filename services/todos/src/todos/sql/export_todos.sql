-- A page ($2) of a person's to-dos ($1) after one, oldest first: each as JSON, and its place. Of each kind as many as fit, for
-- each has an index with this order.
select row_to_json(t)::text, created_at, id
from (
    (
        select * from todo
        where user_id = $1 and not deleted and not completed and (created_at, id) > ($3, $4)
        order by created_at, id limit $2
    )
    union all
    (
        select * from todo
        where user_id = $1 and not deleted and completed and (created_at, id) > ($3, $4)
        order by created_at, id limit $2
    )
    union all
    (
        select * from todo
        where user_id = $1 and deleted and (created_at, id) > ($3, $4)
        order by created_at, id limit $2
    )
    order by created_at, id limit $2
) t
order by created_at, id
