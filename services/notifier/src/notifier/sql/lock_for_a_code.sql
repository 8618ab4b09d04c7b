-- One asks for a code at a time, for a person and for a number. Callers lock the person first.
select pg_advisory_xact_lock(hashtextextended($1, 0))
