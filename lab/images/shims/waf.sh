#!/bin/sh
# The start of the ModSecurity CRS image, reimplemented: what its scripts and those of its base image do, in order. Each
# step names its original script; a step that fails ends the container, as in the image.
set -e
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
home=/etc/nginx

[ "$1" = nginx ] || exec "$@"

# 10-generate-certificate: makes a self-signed certificate if there is no key of that name.
if [ ! -f $home/conf/server.key ]; then
  mkdir -p $home/conf
  openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 365 -subj /CN=localhost \
    -keyout $home/conf/server.key -out $home/conf/server.crt 2>/dev/null
fi

# 20-envsubst-on-templates: only variables that are set; nginx' own variables look the same.
templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-$home/templates}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-$home/conf.d}
names=$(awk 'BEGIN { for (name in ENVIRON) printf "${%s} ", name }' </dev/null)
if [ ! -w "$output" ]; then
  echo "ERROR: $templates exists, but $output is not writable"
else
  find "$templates" -follow -type f -name '*.template' | while read -r template; do
    target="$output/${template#"$templates"/}"
    mkdir -p "$(dirname "$target")"
    envsubst "$names" <"$template" >"${target%.template}"
  done
fi

# 90-copy-modsecurity-config
touch /etc/modsecurity.d/modsecurity-override.conf
cp $home/modsecurity.d/*.conf /etc/modsecurity.d

# 91-update-resolver: the name servers of /etc/resolv.conf.
RESOLVERS=${RESOLVERS:-$DNS_SERVER}
[ -n "$RESOLVERS" ] || RESOLVERS=$(awk '/^nameserver/ { print $2 ~ /:/ ? "[" $2 "]" : $2 }' /etc/resolv.conf | xargs)
sed -i.bak -E "s/RESOLVERS/$RESOLVERS/; s/RESOLVER_CONFIG/$RESOLVER_CONFIG/" $home/nginx.conf

# 92-update-real_ip, 93-update-proxy-ssl-config, 96-update-http3-config: upper-case placeholders left in the templates.
from=$(echo "$SET_REAL_IP_FROM" | awk -F, '{ for (i = 1; i <= NF; i++) printf "set_real_ip_from %s; ", $i }')
sed -i.bak "s#SET_REAL_IP_FROM#$from#" $home/includes/proxy_backend.conf
sed -i.bak 's#PROXY_SSL_CONFIG##; s#HTTP3_CONFIG##' $home/conf.d/default.conf

# 95-configure-rules
python3 -B /opt/lab/waf_rules.py /etc/modsecurity.d/owasp-crs/crs-setup.conf

exec "$@"
