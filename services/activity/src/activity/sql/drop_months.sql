-- Drops the months of the log that were over at a moment ($1); how many.
select drop_months($1)
