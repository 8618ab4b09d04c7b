-- Takes away a batch of an erased person's entries; how many.
select erase_entries($1, $2)
