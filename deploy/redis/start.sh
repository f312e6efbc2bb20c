#!/bin/sh
# Start a Redis whose users are those of an ACL file, each with the password of its address.
#
#   start.sh FILE.acl COMMAND...
#
# SECRETS_DIR (/run/secrets) has a file redis_USER_url for each user: redis://USER:PASSWORD@HOST:PORT/DATABASE, as the
# processes of that role read it. DLQ_PREFIX is that of the site. What Redis reads is written to USERS_FILE.
set -eu

rules_file=$1
shift
secrets=${SECRETS_DIR:-/run/secrets}
users=${USERS_FILE:-/run/users.acl}
prefix=${DLQ_PREFIX:-dlq}

# Redis before 7.2 starts with no rule about a command that it does not have.
case $("$1" --version) in
*v=6.* | *v=7.0.* | *v=7.1.*) unknown='s/ +client|setinfo//; s/ +waitaof//' ;;
*) unknown='' ;;
esac

# Without -r, so that a line goes on after a backslash.
while read keyword user rules; do
  [ "$keyword" = user ] || continue
  rules=$(printf %s "$rules" | sed "s/{dlq}/{$prefix}/g; $unknown")
  case $user in
  default)
    printf 'user default %s\n' "$rules"
    continue
    ;;
  health)
    printf 'user health on nopass %s\n' "$rules"
    continue
    ;;
  esac
  password=$(sed -n 's|^[a-z]*://[^:/]*:\([A-Za-z0-9]\{32,\}\)@.*|\1|p' "$secrets/redis_${user}_url")
  if [ -z "$password" ]; then
    echo "$secrets/redis_${user}_url: no password of 32 letters and digits or more in redis://$user:PASSWORD@..." >&2
    exit 1
  fi
  printf 'user %s on #%s %s\n' "$user" "$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)" "$rules"
done <"$rules_file" >"$users"

exec "$@" --aclfile "$users"
