-- How many events and rows the peers of `append` wrote.
select (select count(*) from peer.log) as events, (select count(*) from peer.todo) as rows
