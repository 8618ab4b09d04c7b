-- Nobody moves a consumer's checkpoints until the caller's transaction ends.
select seq from events.checkpoint where consumer = $1 order by feed for update
