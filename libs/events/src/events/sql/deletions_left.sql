-- How many messages of a feed are still to be deleted.
select count(*) from events.deletion where feed = $1
