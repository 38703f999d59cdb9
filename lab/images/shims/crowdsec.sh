#!/bin/bash
# The start of the CrowdSec image (build/docker/docker_start.sh of v1.7.8) in our words, for Debian's CrowdSec, which
# includes the hub: nothing is downloaded. What the image refuses or leaves alone, this does too.
set -eu
config=/etc/crowdsec/config.yaml
credentials=/etc/crowdsec/local_api_credentials.yaml
true_() { [ "$(echo "${1:-}" | tr '[:upper:]' '[:lower:]')" = true ]; }

if [ ! -e $credentials ] && [ ! -e "$config" ]; then
  echo "Populating configuration directory..."
  cp -an /staging/etc/crowdsec/. /etc/crowdsec/
  # Debian's settings name paths that are not writable on a read-only root; the rest is the image's config.yaml.
  sed -i -e 's|/var/lib/crowdsec/hub|/etc/crowdsec/hub|' -e 's|log_media: file|log_media: stdout|' \
    -e '/online_client:/,/credentials_path:/d' -e 's|listen_uri:.*|listen_uri: 0.0.0.0:8080|' -e 's|listen_addr:.*|listen_addr: 0.0.0.0|' "$config"
  echo 'url: http://0.0.0.0:8080' >$credentials
fi
mounted=$(awk '$2 == "/var/lib/crowdsec/data"' /proc/mounts)
if [ -z "$mounted" ] && [ -z "${CROWDSEC_BYPASS_DB_VOLUME_CHECK:-}" ]; then
  echo "No volume mounted for /var/lib/crowdsec/data"
  exit 0
fi
for folder in hub collections parsers scenarios postoverflows notifications; do
  mkdir -p "/etc/crowdsec/$folder"
done
[ -e /etc/crowdsec/hub/.index.json ] || cp -a /usr/share/crowdsec/hub/. /etc/crowdsec/hub/
cp -an /usr/share/crowdsec/data/. /var/lib/crowdsec/data/ || true

if ! grep -q '^login: localhost' $credentials || ! cscli -c "$config" machines list -o raw | grep -q '^localhost,'; then
  cscli -c "$config" machines delete localhost >/dev/null 2>&1 || true
  cscli -c "$config" machines add localhost --auto --force
fi
[ -z "${LOCAL_API_URL:-}" ] || sed -i "s|^url:.*|url: $LOCAL_API_URL|" $credentials
if ! true_ "${DISABLE_ONLINE_API:-}"; then
  echo "cscli capi register failed: the makers' service is not reached" && exit 1
fi

# `cscli ... install` first picks a branch of the hub (cmd/crowdsec-cli/core/require/branch.go). Without one in the
# settings it queries https://version.crowdsec.net/latest; if that is unreachable it fails, and the start with it.
branch=$(cat "$config" "$config.local" 2>/dev/null | sed -n 's/^ *hub_branch: *//p')
if [ -z "$branch" ]; then
  curl -fsS --max-time 5 https://version.crowdsec.net/latest >/dev/null || {
    echo "unable to retrieve latest crowdsec version" && exit 1
  }
fi
# A list of words.
# shellcheck disable=SC2086
python3 -B /opt/lab/crowdsec_hub.py crowdsecurity/linux ${COLLECTIONS:-}
for variable in $(compgen -A variable | grep -i '^BOUNCER_KEY' || true); do
  name=$(echo "$variable" | cut -d_ -f3-)
  # An existing bouncer keeps its key.
  cscli -c "$config" bouncers list -o raw | grep -q "^$name," ||
    { cscli -c "$config" bouncers add "$name" -k "${!variable}" >/dev/null && echo "Registered bouncer for $name"; }
done
level=
if true_ "${LEVEL_INFO:-}"; then level=-info; fi
exec crowdsec -c "$config" $level
