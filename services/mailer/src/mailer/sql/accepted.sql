-- A person's address took a letter: what it refused before is forgiven.
update contact set refusals = 0, refused_at = null where user_id = $1 and refusals > 0 and suppressed_at is null
