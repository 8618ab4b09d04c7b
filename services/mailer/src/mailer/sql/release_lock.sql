-- One at a time gathers: two would make two letters of what belongs into one.
select pg_advisory_xact_lock(hashtext('mailer.release'))
