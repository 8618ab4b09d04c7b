-- The outcome of a claim, written only by its holder. No row: the claim is no longer ours.
update {table} set state = $3, reason = $4, settled_at = clock_timestamp(), token = null, lease_until = null
where id = $1 and token = $2 and state in ('claimed', 'sending')
returning id
