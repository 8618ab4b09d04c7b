-- What is shown of events of some numbers ($1) as steps of sign-ins.
select number, challenge, step, waited_ms from projections.sign_in
where build = (select build from projections.shown where projection = 'sign_ins') and number = any($1::bigint[])
