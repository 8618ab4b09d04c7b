-- What came back of people who are erased is erased at once: its messages are to be deleted.
insert into events.deletion (feed, seq)
select feed, seq from events.log where feed = $1 and seq > $2 and sha256 is not null
on conflict do nothing
