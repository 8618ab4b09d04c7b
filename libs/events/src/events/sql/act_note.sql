-- Keeps an act that its caller carries out in the same transaction.
insert into events.act (consumer, what, who, why, chosen) values ($1, $2, $3, $4, $5) returning id
