-- Codes go first: a person waits for them. What is over, and what waits for the end of a rest, is found by an index.
drop index delivery_due_at_idx;
create index delivery_turn on delivery ((kind <> 'phone_code'), due_at) where state = 'queued';
create index delivery_expires_at on delivery (expires_at) where state = 'queued';
