-- What the archive has of a feed from one number to another: each month is asked by its index.
select event_id from archive where feed = $1 and seq between $2 and $3
