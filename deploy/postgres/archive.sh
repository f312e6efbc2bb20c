#!/bin/sh
# archive_command: put a file of WAL that is full into /wal, compressed, so that it is there whole or not at all.
#
#   archive.sh PATH NAME
#
# A server that was killed right after does it again: then the same file may be there, and another may not.
set -eu
kept=/wal/$2.gz
if [ -f "$kept" ]; then
  gunzip <"$kept" | cmp - "$1"
  exit
fi
gzip <"$1" >"/wal/.$2.gz"
sync "/wal/.$2.gz"
mv "/wal/.$2.gz" "$kept"
