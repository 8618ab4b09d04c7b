-- A person's name, for letters that address them; null until they chose one.
alter table contact add column name text;
