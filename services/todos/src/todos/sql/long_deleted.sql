-- To-dos that were deleted before a moment.
select * from todo where deleted and deleted_at < $1 order by deleted_at limit $2
