-- Whether a letter could be posted now, or is being posted.
select exists (select from letter where state = 'queued' and due_at <= clock_timestamp())
    or exists (select from letter where state in ('claimed', 'sending'))
