-- Uses a ticket up: whoever deletes it has it. No row: there is none, it was used, or it is over.
delete from ticket where hash = $1 and expires_at > $2
returning user_id, session_id, locale, token_expires_at
