-- Erases a batch of what the archive holds of a person with a tombstone; how many.
select erase_archive($1, $2)
