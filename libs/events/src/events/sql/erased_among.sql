-- Which of these people are erased; nobody else becomes so before the transaction ends.
select events.erased_among($1) as subject
