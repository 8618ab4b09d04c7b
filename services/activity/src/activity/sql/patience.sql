-- Figures of everybody take longer than what a request usually asks for; the pool takes this back.
select set_config('statement_timeout', '60s', false), set_config('transaction_timeout', '120s', false)
