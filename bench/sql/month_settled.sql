-- Whether the figures reflect the whole archive, and nobody is still to be erased.
select
    not exists (select from events.erasure where erased_at is null)
    and (select bool_and(position = (select last_number from archive_counter)) from projections.build where state = 'live')
