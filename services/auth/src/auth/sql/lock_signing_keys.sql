-- One change to the signing keys at a time, until the end of the transaction.
select pg_advisory_xact_lock(hashtext('auth.signing_key'))
