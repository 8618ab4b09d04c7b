-- When each way of `choices` was switched on, as `<kind>.<channel>`: what happened before does not go it, also when heard anew.
alter table preference add column since jsonb not null default '{}';
