-- How many to-do events activity has heard, archived, and shown to their person.
select
    (select seq from events.checkpoint where consumer = 'activity' and feed = 'TODOS') as heard,
    (select count(*) from archive where feed = 'TODOS') as archived,
    (select count(*) from entry where feed = 'TODOS') as entries
