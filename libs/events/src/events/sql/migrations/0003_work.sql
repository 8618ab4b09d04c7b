-- The columns every work table has: `create table letter (like events.work including all, ...)`.
-- queued -> claimed (lease_until, token) -> sending -> sent | failed | unknown | expired, or back to queued at due_at.
create table events.work (
    id uuid primary key,
    state text not null default 'queued'
        check (state in ('queued', 'claimed', 'sending', 'sent', 'failed', 'unknown', 'expired')),
    due_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    attempts int not null default 0,
    token uuid,
    lease_until timestamptz,
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
) with (fillfactor = 50);
create index on events.work (due_at) where state = 'queued';
create index on events.work (lease_until) where state in ('claimed', 'sending');
