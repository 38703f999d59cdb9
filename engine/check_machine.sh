#!/bin/sh
# Says in one message what the machine lacks for `make preview`, and how to fix it. Usage: check_machine.sh PYTHON
set -eu
python=$1

fail() {
	printf 'error: %s\n  %s\n' "$1" "$2" >&2
	exit 1
}

command -v "$python" >/dev/null 2>&1 ||
	fail "there is no $python on this machine; Python 3.11 or later is needed" \
		"Fix it: apt install python3 python3-venv (Debian, Ubuntu), dnf install python3 (Fedora), brew install python (macOS)"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	fail "$python is $("$python" -V 2>&1); Python 3.11 or later is needed" \
		"Fix it: install one and name it, as in: make preview PYTHON=python3.12"

"$python" -c 'import ensurepip, venv' 2>/dev/null ||
	fail "$python cannot make virtual environments" \
		"Fix it: apt install $(basename "$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')")-venv"

# Go fetches the engine's modules with it where a module proxy lacks one.
command -v git >/dev/null 2>&1 ||
	fail "there is no git on this machine" "Fix it: apt install git (Debian, Ubuntu), dnf install git (Fedora)"
