-- What is known of a person with a tombstone goes: how to reach them, and the letters to them.
grant delete on letter, contact to :role;
create index letter_subject on letter (subject);
