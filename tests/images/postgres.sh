#!/bin/sh
# As the official image begins: a cluster in PGDATA is made once, with POSTGRES_PASSWORD or its file and
# POSTGRES_INITDB_ARGS, started for itself alone and stopped; then the command runs as the user postgres.
set -eu
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
chown postgres /var/lib/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    as_postgres mkdir -p "$PGDATA"
    password=$(mktemp)
    if [ -n "${POSTGRES_PASSWORD_FILE-}" ]; then cat "$POSTGRES_PASSWORD_FILE" > "$password"; else printf %s "$POSTGRES_PASSWORD" > "$password"; fi
    chown postgres "$password"
    # shellcheck disable=SC2086 - several arguments
    as_postgres initdb --username=postgres --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS-} -D "$PGDATA"
    rm "$password"
    printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\nunix_socket_directories = '/var/run/postgresql'\n" >> "$PGDATA/postgresql.conf"
    as_postgres pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
    as_postgres pg_ctl -D "$PGDATA" -w -m fast stop
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
