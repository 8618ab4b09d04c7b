-- To-dos that were deleted before a moment: nothing happens to one after that.
select * from todo where deleted and updated_at < $1 order by updated_at limit $2
