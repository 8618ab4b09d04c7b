-- The to-dos that a peer's activity tells of.
select details ->> 'todo_id' as todo_id from activity where at >= $1
