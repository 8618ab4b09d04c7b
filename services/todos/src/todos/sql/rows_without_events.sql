-- Rows that no event made.
select t.id from todo t
where not exists (select from events.log l where l.feed = 'TODOS' and l.aggregate = t.id)
limit 100
