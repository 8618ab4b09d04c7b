-- How many sign-in codes auth was ever asked for.
select last_seq from events.feed where name = 'OTP'
