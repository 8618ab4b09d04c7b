-- Makes those of these months of the log ($1, their first days) that are not there; which were.
select open_entry_months($1)
