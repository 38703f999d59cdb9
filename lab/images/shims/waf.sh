#!/bin/sh
# The start of the ModSecurity CRS image for Debian's nginx, ModSecurity and rules: renders the templates with the
# variables of the environment, then becomes the command.
set -eu
: "${BLOCKING_PARANOIA:=1}" "${ANOMALY_INBOUND:=5}" "${ANOMALY_OUTBOUND:=4}" "${ALLOWED_METHODS:=GET HEAD POST OPTIONS}"
: "${MODSEC_REQ_BODY_LIMIT:=13107200}" "${MODSEC_REQ_BODY_NOFILES_LIMIT:=131072}" "${MODSEC_RESP_BODY_ACCESS:=on}"
: "${MODSEC_AUDIT_ENGINE:=RelevantOnly}" "${MODSEC_AUDIT_LOG_PARTS:=ABIJDEFHZ}" "${MODSEC_TMP_DIR:=/tmp/modsecurity/tmp}"
: "${MODSEC_DATA_DIR:=/tmp/modsecurity/data}" "${MODSEC_UPLOAD_DIR:=/tmp/modsecurity/upload}"
: "${ACCESSLOG:=/var/log/nginx/access.log}" "${ERRORLOG:=/var/log/nginx/error.log}" "${LOGLEVEL:=warn}"
export MODSEC_AUDIT_LOG_PARTS BLOCKING_PARANOIA ANOMALY_INBOUND ANOMALY_OUTBOUND ALLOWED_METHODS MODSEC_REQ_BODY_LIMIT \
  MODSEC_REQ_BODY_NOFILES_LIMIT MODSEC_RESP_BODY_ACCESS MODSEC_AUDIT_ENGINE MODSEC_TMP_DIR MODSEC_DATA_DIR \
  MODSEC_UPLOAD_DIR ACCESSLOG ERRORLOG LOGLEVEL

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
# Only variables that the environment has: nginx has its own of the same shape.
names=$(awk 'BEGIN { for (name in ENVIRON) printf "${%s} ", name }')
find "$templates" -name '*.template' | while read -r template; do
  target="/etc/nginx/${template#"$templates"/}"
  envsubst "$names" <"$template" >"${target%.template}"
done
exec "$@"
