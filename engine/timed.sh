#!/bin/sh
# Runs a long command and says every so often that it is still at work. Usage: timed.sh WORDS COMMAND [ARGUMENT...]
set -eu
words=$1
shift
start=$(date +%s)
elapsed() { echo $(($(date +%s) - start)); }

(while sleep 15; do echo "  ... $(elapsed) s so far"; done) &
ticker=$!
trap 'kill "$ticker" 2>/dev/null || true' EXIT INT TERM
"$@"
echo "$words in $(elapsed) s"
