-- To-dos that were deleted before a moment, after one of this time and id: nothing happens to one after that.
select * from todo where deleted and updated_at < $1 and (updated_at, id) > ($3::timestamptz, $4::uuid)
order by updated_at, id limit $2
