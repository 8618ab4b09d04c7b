-- What became of the codes that were asked for on each day from a day ($1) on.
select day, requested, mailed, verified, mail_p50_ms, mail_p95_ms
from analytics.sign_ins where day >= $1 order by day
