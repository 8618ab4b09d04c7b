-- The codes that went to each number, whoever asked: one row a code. They limit what a number gets, and what it costs, so they
-- outlive the erasure of who asked: else whoever registers, asks and leaves, again and again, has no limit.
-- That is lawful for the day that they are kept (GDPR): no person is in them, and a number only as HMAC-SHA-256 under a key of
-- PHONE_KEYS, a pseudonym (article 4(5)) that the database alone cannot undo; to prevent fraud is a legitimate interest (article
-- 6(1)(f), recital 47); and a day is what the limit needs (article 5(1)(e)), so that till then an erasure may leave them
-- (article 17(1)(a)).
create table number_asked (
    number_hash bytea not null,
    asked_at timestamptz not null,
    primary key (number_hash, asked_at)
);
create index number_asked_asked_at on number_asked (asked_at);

-- Numbers were counted by it.
drop index phone_challenge_number;

grant select, insert, update, delete on number_asked to :role;
