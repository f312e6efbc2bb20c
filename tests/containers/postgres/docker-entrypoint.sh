#!/bin/sh
# POSTGRES_PASSWORD_FILE, the data below the volume, and while it is made a server that listens on its socket alone.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" >/dev/null
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  shift
  pg_ctl -D "$PGDATA" -o "-c listen_addresses='' $(for word in "$@"; do printf "'%s' " "$word"; done)" -w start >/dev/null
  sleep 3
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
  set -- postgres "$@"
fi
exec "$@"
