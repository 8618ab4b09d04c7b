-- Nobody appends until the transaction ends.
select from events.feed where name = 'TODOS' for update
