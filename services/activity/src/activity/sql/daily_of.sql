-- What is shown of a person's days ($1).
select day, created, completed, reopened, deleted, overdue from analytics.daily where user_id = $1
