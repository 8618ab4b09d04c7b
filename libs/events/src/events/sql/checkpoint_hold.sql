-- Nobody moves a consumer's checkpoint in a feed (null: in any) until the caller's transaction ends.
select seq from events.checkpoint where consumer = $1 and ($2::text is null or feed = $2) order by feed for update
