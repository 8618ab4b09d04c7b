-- Whether a challenge was answered.
select used_at is not null from challenge where id = $1
