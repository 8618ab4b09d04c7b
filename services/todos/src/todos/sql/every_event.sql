-- Every event, aggregate by aggregate.
select seq, id, aggregate, version, type, subject, time, actor, data from events.log
where feed = 'TODOS' order by aggregate, version
