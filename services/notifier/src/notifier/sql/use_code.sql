-- Takes a code for used, once.
update phone_challenge set used_at = $2 where id = $1 and used_at is null returning id
