-- The builds that there are.
select id, projection, version, state, position from projections.build order by projection, state
