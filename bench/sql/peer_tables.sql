-- What peers of `append` write: the columns and indexes of a log and of to-dos. No trigger, no check, no foreign key, and
-- numbers from a sequence, which costs less than a counter and leaves holes.
create schema peer;
create sequence peer.seq cache 32;
create table peer.log (like events.log including defaults including indexes including storage);
alter table peer.log alter seq set default nextval('peer.seq');
create table peer.todo (like public.todo including defaults including indexes including storage);
alter table peer.todo set (fillfactor = 80);
