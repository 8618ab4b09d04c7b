-- Nothing of a person is left in this database.
update events.erasure set erased_at = clock_timestamp() where subject = $1 and erased_at is null
