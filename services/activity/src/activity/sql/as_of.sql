-- What follows in this transaction is told as of a position ($1); empty: as of now.
select set_config('analytics.as_of', $1, true)
