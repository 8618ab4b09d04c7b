-- The transaction takes as long as it takes, whatever the owner's role allows: cut off it would have to begin anew.
set local transaction_timeout = 0
