-- Takes away a batch of an erased person's to-dos; how many.
select erase_todos($1, $2)
