-- Rows as an append writes them, one a place in the arrays; a row without a state goes.
select events.write_states($1::text[], $2::uuid[], $3::bigint[], $4::json[])
