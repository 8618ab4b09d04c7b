-- Drops a batch of accounts whose id was reserved an hour ago and where nobody registered; how many.
select drop_reservations($1::timestamptz - interval '1 hour', $2)
