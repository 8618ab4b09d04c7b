-- Quiet hours of a person, times of day in their zone. How often in a row their address refused a letter, and since when
-- it gets none; `address_version` counts what was said of that.
alter table contact
    add column quiet_from text,
    add column quiet_to text,
    add column refusals int not null default 0,
    add column refused_at timestamptz,
    add column suppressed_at timestamptz,
    add column address_version bigint not null default 0;
