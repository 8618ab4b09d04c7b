-- What a letter tells besides its own event, oldest first.
select cause, facts from letter where part_of = $1 and settled_at is null order by happened_at, id
