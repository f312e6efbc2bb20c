#!/bin/sh
# A docker engine of one's own in a folder, where the machine has the program and runs none. Needs root.
#
#   engine.sh start FOLDER     prints the value of DOCKER_HOST; exit status 3 where no engine can run here
#   engine.sh stop FOLDER      ends it, and removes the folder
set -eu
act=$1 folder=$2
pid_file=$folder/pid

stop() {
  if [ -f "$pid_file" ]; then
    kill "$(cat "$pid_file")" 2>/dev/null || true
    for _ in $(seq 100); do [ -d "/proc/$(cat "$pid_file" 2>/dev/null || echo none)" ] || break; sleep 0.2; done
  fi
  # Mounts of its containers and of its network name spaces, the innermost first.
  grep -o " $folder/[^ ]*" /proc/mounts | sort -r | xargs -r umount --lazy
  rm -rf "$folder"
}

case $act in
start)
  [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null || exit 3
  mkdir -p "$folder"
  grep -q overlay /proc/filesystems && driver=overlay2 || driver=vfs
  dockerd --host "unix://$folder/docker.sock" --pidfile "$pid_file" --data-root "$folder/data" \
    --exec-root "$folder/exec" --storage-driver "$driver" >"$folder/log" 2>&1 </dev/null &
  daemon=$!
  for _ in $(seq 150); do
    DOCKER_HOST="unix://$folder/docker.sock" docker info >/dev/null 2>&1 && echo "unix://$folder/docker.sock" && exit
    kill -0 $daemon 2>/dev/null || break
    sleep 0.2
  done
  tail -3 "$folder/log" >&2
  stop
  exit 3
  ;;
stop) stop ;;
esac
