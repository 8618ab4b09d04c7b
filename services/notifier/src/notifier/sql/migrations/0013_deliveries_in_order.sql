-- A person's deliveries in the order in which they are exported: by person alone, each page reads and sorts them all. None of the
-- columns ever changes, so an update of a delivery leaves the index alone.
create index if not exists delivery_of_person on delivery (user_id, happened_at, id);
