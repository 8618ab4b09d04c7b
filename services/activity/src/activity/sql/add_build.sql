-- Begins a build of a projection ($1), of a version ($2), in a state ($3); which it is.
select projections.add_build($1, $2, $3)
