-- Publishes a signing key.
insert into signing_key (kid, wrapped, published_at, signs_from) values ($1, $2, $3, $4)
