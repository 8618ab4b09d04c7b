-- Nobody moves a checkpoint until the caller's transaction ends.
select seq from events.checkpoint where consumer = $1 and feed = $2 for update
