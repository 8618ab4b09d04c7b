-- What is shown of a projection ($1) makes place for the build in a state ($2), and is kept.
update projections.build set state = case state when 'live' then 'kept' else 'live' end
where projection = $1 and state in ('live', $2)
