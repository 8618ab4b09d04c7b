-- People erased in the last hours: longer than any access token lives.
select subject from events.erasure where heard_at > clock_timestamp() - interval '6 hours'
