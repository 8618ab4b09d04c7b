-- The projections that are shown.
select projection, version from projections.shown
