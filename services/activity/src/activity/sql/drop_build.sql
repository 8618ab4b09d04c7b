-- Takes away a build ($1) that is not live.
select projections.drop_build($1)
