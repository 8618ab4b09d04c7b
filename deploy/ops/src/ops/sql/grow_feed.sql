-- The log of a feed ends with another number.
update events.feed set last_seq = $2 where name = $1
