-- Counts a guess at a person's last code; its id, number and language, no row where none can be guessed any more.
update phone_challenge set guesses = guesses + 1
where id = (select id from phone_challenge where user_id = $1 order by asked_at desc limit 1)
    and used_at is null and expires_at > $2 and guesses < 5
returning id, number, locale
