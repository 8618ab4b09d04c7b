-- Where people live, as the archive says after a number ($2) up to another ($3), for a build ($1). A zone that this server
-- does not know counts as none.
insert into projections.zone (build, user_id, since, number, zone)
select $1, subject, time, number, known_zone(data ->> 'timezone')
from archive
where number > $2 and number <= $3 and feed = 'AUTH'
    and (type = 'auth.UserRegistered.v1' or type = 'auth.ProfileChanged.v1' and data::jsonb ? 'timezone')
    and not exists (select from events.erasure e where e.subject = archive.subject)
