-- Months for what comes next, as of a moment ($1).
select open_months($1)
