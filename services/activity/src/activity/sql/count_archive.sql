-- Numbers for so many events ($1), and when they are said to be heard; the counter row is held from here to the commit. Times
-- follow the numbers, and none is as old as what was asked for as of a time (fence.sql).
update archive_counter set
    last_number = last_number + $1::int,
    heard_at = greatest(heard_at + interval '1 microsecond', $2::timestamptz)
returning last_number - $1::int + 1 as first, heard_at
