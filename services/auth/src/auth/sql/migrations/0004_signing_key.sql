-- The keys that sign access tokens. `wrapped` holds a key's seed under a key of KEY_WRAPPING_KEYS: useless without that.
create table signing_key (
    kid text primary key,
    wrapped text not null,
    published_at timestamptz not null,
    -- Not before everybody who keeps the published keys at hand can have this one.
    signs_from timestamptz not null,
    -- When the last token signed with it is dead, and some more; null while no other key replaces it.
    drop_after timestamptz
);
grant select, insert, update (drop_after), delete on signing_key to :role;
