-- Nobody appends to a feed until the caller's transaction ends; its last number.
select last_seq from events.feed where name = $1 for update
