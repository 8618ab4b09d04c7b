-- Appends a group of commands to one feed; one row a command: outcome, position, answer.
select outcome, position, answer
from events.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26
)
