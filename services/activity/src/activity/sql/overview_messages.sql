-- What became of messages by channel and kind, from a day ($1) on.
select
    channel, kind, sum(sent)::bigint as sent, sum(failed)::bigint as failed, sum(expired)::bigint as expired,
    sum(unknown)::bigint as unknown
from analytics.messages where day >= $1 group by channel, kind order by channel, kind
