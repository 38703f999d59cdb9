#!/bin/bash
# The start of the CrowdSec image for Debian's CrowdSec, which brings the hub along: nothing is downloaded.
set -eu
config=/etc/crowdsec/config.yaml

if [ ! -e /etc/crowdsec/local_api_credentials.yaml ] && [ ! -e "$config" ]; then
  echo "Populating configuration directory..."
  cp -an /staging/etc/crowdsec/. /etc/crowdsec/
fi
for folder in hub collections parsers scenarios postoverflows notifications; do
  mkdir -p "/etc/crowdsec/$folder"
done
[ -e /etc/crowdsec/hub/.index.json ] || cp -a /usr/share/crowdsec/hub/. /etc/crowdsec/hub/
mkdir -p /var/lib/crowdsec/data
cp -an /usr/share/crowdsec/data/. /var/lib/crowdsec/data/ || true

# Debian's settings name places that a read-only root does not have, and an account at the makers' service.
sed -i -e 's|/var/lib/crowdsec/hub|/etc/crowdsec/hub|' -e '/online_client:/,/credentials_path:/d' \
  -e 's|log_media: file|log_media: stdout|' "$config"
[ -s /etc/crowdsec/local_api_credentials.yaml ] || : >/etc/crowdsec/local_api_credentials.yaml

cscli -c "$config" machines delete "${CUSTOM_HOSTNAME:-localhost}" >/dev/null 2>&1 || true
cscli -c "$config" machines add "${CUSTOM_HOSTNAME:-localhost}" --auto --force
# As in the image that this stands for, where the variable of that name is all that changes the address.
[ -z "${LOCAL_API_URL:-}" ] || sed -i "s|^url:.*|url: $LOCAL_API_URL|" /etc/crowdsec/local_api_credentials.yaml
# shellcheck disable=SC2086 - a list of words
python3 -B /opt/lab/crowdsec_hub.py crowdsecurity/linux ${COLLECTIONS:-}
for variable in $(compgen -A variable | grep '^BOUNCER_KEY_' || true); do
  cscli -c "$config" bouncers add "${variable#BOUNCER_KEY_}" -k "${!variable}" >/dev/null 2>&1 ||
    echo "bouncer ${variable#BOUNCER_KEY_} is there already"
done
exec crowdsec -c "$config" -info
