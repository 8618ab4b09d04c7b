-- An operator's transaction takes as long as it takes, whatever its role allows: cut off it would have to begin anew.
set local transaction_timeout = 0;
set local statement_timeout = 0;
