#!/bin/sh
# Installs the Debian packages whose programs the tests and the lab run, without starting their services.
# Where this cannot be done it says how, and the tests that need them skip and say so too.
set -eu

# The one list: program and the package that has it.
TOOLS='
promtool prometheus
amtool prometheus-alertmanager
redis-server redis-server
postgres postgresql
restic restic
ip iproute2
curl curl
nginx nginx-light
h2load nghttp2-client
prometheus-blackbox-exporter prometheus-blackbox-exporter
shellcheck shellcheck
runsc runsc
debootstrap debootstrap
iptables iptables
npm npm
openssl openssl
luajit luajit
'

# Debian keeps servers' programs outside PATH.
PATH="$PATH:/usr/sbin:$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | tr '\n' ':')"

missing=$(echo "$TOOLS" | while read -r program package; do
	[ -z "$program" ] || command -v "$program" >/dev/null 2>&1 || echo "$package"
done | tr '\n' ' ')
# A module, not a program.
[ -e /usr/lib/nginx/modules/ngx_http_modsecurity_module.so ] || missing="${missing}libnginx-mod-http-modsecurity "
# For images without a library: Debian's other busybox needs some.
{ [ -e /bin/busybox ] && ! grep -q /ld-linux /bin/busybox; } || missing="${missing}busybox-static "
# What the lab's stand-ins of HTTP/2 services run on.
/usr/bin/python3 -c 'import h2, yaml' 2>/dev/null || missing="${missing}python3-h2 python3-yaml "
# A manual, which the agents' retrieval is measured on.
dpkg -s postgresql-doc >/dev/null 2>&1 || missing="${missing}postgresql-doc "
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "test tools: missing: ${missing% }; on Debian or Ubuntu: sudo sh engine/test_tools.sh" >&2
	exit 0
fi

echo "test tools: installing ${missing% }, about 1 minute the first time"
# Packages ask this program whether they may start their services; 101 means no. A machine that has an answer keeps it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
	echo "test tools: apt-get failed, the tests that need ${missing% } will skip:" >&2
	tail -n 5 "$log" >&2
fi
rm -f "$log"
