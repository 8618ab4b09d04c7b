-- Which letters a person does not want. The version is the log's: a row that was restored from a copy may be older.
select
    (select max(version) from events.log where feed = 'MAILER' and aggregate = $1) as version,
    (select "off" from preference where user_id = $1) as "off"
