-- Outcomes of claimed letters that bring codes, each written by the holder of its claim alone: what they say is forgotten.
update letter as l
set state = e.state, reason = e.reason, settled_at = clock_timestamp(), token = null, lease_until = null,
    sealed = null, facts = null
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as e (id, token, state, reason)
where l.id = e.id and l.token = e.token and l.state in ('claimed', 'sending')
returning l.id
