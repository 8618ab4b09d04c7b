-- Letters to people, written without an address: `facts` is the event that they tell of, until the letter is settled.
-- No locale: the person's, when it is sent. `held_until`: not due before, `reason` says why. `part_of`: told in that one.
alter table letter
    alter column locale drop not null,
    add column facts text,
    add column held_until timestamptz,
    add column part_of uuid,
    drop constraint letter_check,
    drop constraint letter_kind_check,
    drop constraint work_state_check,
    add constraint letter_settled check (settled_at is null or (sealed is null and facts is null)),
    add constraint letter_state_check
        check (state in ('queued', 'claimed', 'sending', 'sent', 'failed', 'unknown', 'expired', 'skipped')),
    add constraint letter_kind_check check (kind in (
        'code', 'welcome', 'completion', 'due_soon', 'overdue', 'weekly_report', 'monthly_report'
    ));
create index letter_held on letter (held_until) where held_until is not null;
create index letter_part on letter (part_of) where part_of is not null;
-- A code goes before whatever else is due.
create index letter_turn on letter ((kind <> 'code'), due_at) where state = 'queued';
