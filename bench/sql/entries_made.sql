-- The to-dos whose making is among the entries of all people from a moment on, a row for each entry.
select details ->> 'todo_id' as todo_id from entry where at >= $1 and action = 'todo_created'
