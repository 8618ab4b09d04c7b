-- The archive's number up to which it was heard at a moment ($1); none: before the first.
select number from archive where heard_at <= $1 order by heard_at desc, number desc limit 1
