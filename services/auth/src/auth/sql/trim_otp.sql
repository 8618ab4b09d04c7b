-- Drops a batch of OtpRequested that nobody can use any more from the log; how many.
select events.trim('OTP', clock_timestamp() - interval '1 hour', $1)
