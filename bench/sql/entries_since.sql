-- The numbers of a person's entries from a moment on, through the index that their own list uses.
select seq from entry where user_id = $1 and at >= $2
