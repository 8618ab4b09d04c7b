-- Puts people's addresses into other boxes, one a row of the arrays; a box that changed meanwhile stays. How many were put.
with done as (
    update contact c set sealed_contact = n.after
    from unnest($1::uuid[], $2::text[], $3::text[]) as n (user_id, before, after)
    where c.user_id = n.user_id and c.sealed_contact = n.before
    returning 1
)
select count(*)::int from done
