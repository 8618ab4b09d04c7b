-- What a letter told besides ends as the letter does.
update letter set state = $2, reason = 'told in another', settled_at = clock_timestamp(), facts = null
where part_of = $1 and settled_at is null and expires_at is null
