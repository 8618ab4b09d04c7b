-- What the views reflect.
select projection, metric_version, position, reflects from analytics.reflected order by projection
