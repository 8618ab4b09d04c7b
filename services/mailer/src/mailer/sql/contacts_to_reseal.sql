-- Some people after one ($1; null: from the first) whose addresses are in boxes for other keys than the current ($2).
select user_id, sealed_contact from contact
where ($1::uuid is null or user_id > $1) and split_part(sealed_contact, '.', 1) <> $2
order by user_id limit $3
