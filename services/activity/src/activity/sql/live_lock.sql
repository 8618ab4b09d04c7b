-- Where the live build of a projection ($1) is, which it stays until the transaction ends.
select position from projections.build where projection = $1 and state = 'live' for update
