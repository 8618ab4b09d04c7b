-- The numbers of a person's entries beyond a number, from a moment on, through the index that their own list uses.
select seq, at from entry where user_id = $1 and at >= $2 and seq > $3
