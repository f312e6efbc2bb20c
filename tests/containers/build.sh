#!/bin/sh
# Base images for `make compose-test` where no registry of images can be reached: real programs of Debian, set up as the
# official images document it, and no more. They are named auditsite-stand-in/NAME, so that nobody takes them for others.
# Needs root, a docker engine and debootstrap; about three minutes on 2 cores.
set -eu
cd "$(dirname "$0")"
suite=forky # with PostgreSQL 18, Redis 8 and nginx from 1.28 on
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +([^ ]+).*/\1/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1)
debootstrap --variant=minbase --include=ca-certificates "$suite" "$work/root" "$mirror" /usr/share/debootstrap/scripts/sid \
  >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; exit 1; }
# What this machine trusts, where packages come through something of its own.
cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"
# A mirror that stands still is good enough for what is thrown away after the test.
echo 'Acquire::Check-Valid-Until "false";' >"$work/root/etc/apt/apt.conf.d/still"
tar -C "$work/root" -c . | docker import - auditsite-stand-in/debian >/dev/null
for name in python postgres redis nginx; do
  DOCKER_BUILDKIT=0 docker build --network host --tag "auditsite-stand-in/$name" "$name" >"$work/log" 2>&1 ||
    { tail -20 "$work/log" >&2; exit 1; }
done
