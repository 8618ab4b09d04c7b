-- The feeds of a service, and how many events each has.
select name, last_seq from events.feed
