-- Erases a batch of a person's events in the log of this service; how many.
select events.erase($1, $2)
