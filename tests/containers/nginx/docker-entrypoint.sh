#!/bin/sh
# Each template becomes a file of conf.d, with the variables of the environment, and of no others, filled in.
set -eu
if [ -n "${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-}" ]; then
  NGINX_LOCAL_RESOLVERS=$(awk '/^nameserver/ {print $2}' /etc/resolv.conf | tr '\n' ' ')
  export NGINX_LOCAL_RESOLVERS
fi
names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/p' | tr '\n' ' ')
for template in /etc/nginx/templates/*.template; do
  file=$(basename "$template" .template)
  envsubst "$names" <"$template" >"/etc/nginx/conf.d/$file"
done
exec "$@"
