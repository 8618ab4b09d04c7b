-- Keeps a ticket.
insert into ticket (hash, user_id, session_id, locale, token_expires_at, expires_at) values ($1, $2, $3, $4, $5, $6)
