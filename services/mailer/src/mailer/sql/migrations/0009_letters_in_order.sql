-- A person's letters in the order in which they are exported: by person alone, each page reads and sorts them all. None of the
-- columns ever changes, so an update of a letter leaves the index alone.
create index if not exists letter_of_person on letter (subject, happened_at, id);
