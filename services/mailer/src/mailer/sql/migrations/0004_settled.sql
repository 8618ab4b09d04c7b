-- The clean-up asks for the oldest settled letters.
create index letter_settled_at on letter (settled_at) where settled_at is not null;
