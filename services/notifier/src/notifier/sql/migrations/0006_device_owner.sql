-- An address belongs to a service: a number that somebody registers as a push token takes nobody's phone. A device that is
-- registered again stays the same one, so that what waits for it finds it; `seen_at` says when it was last.
alter table device drop constraint device_address_key;
alter table device add unique (service, address);
alter table device add column seen_at timestamptz not null default now();
update device set seen_at = created_at;
