-- Nothing that is heard from here on is as old as a moment ($1): what was told as of it stays so.
update archive_counter set heard_at = greatest(heard_at, $1::timestamptz) where heard_at < $1
