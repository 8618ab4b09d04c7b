-- Fixes the id of an address before its first sign-in is written; whoever comes first wins.
insert into account (id, email) values ($1, $2) on conflict (email) do nothing
