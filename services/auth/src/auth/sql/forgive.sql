-- After a right code: the streak of wrong ones is over, and the next code need not be waited for.
with streak_over as (delete from streak where key = $1)
delete from allowance where key = $2
