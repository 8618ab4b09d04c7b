-- A tombstone for each of these people, by the events that said so.
select events.forget(subject, event_id) from unnest($1::uuid[], $2::uuid[]) as t (subject, event_id)
