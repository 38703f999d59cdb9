"""Configures the Core Rule Set from the environment, as the image's `configure-rules.sh` does.

What a variable sets is switched on in `crs-setup.conf`, where it is commented out, and given the variable's value. A
variable that the file has no rule for ends the start, but for those of earlier releases.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

LEGACY = {
    "PARANOIA": (("900000", "blocking_paranoia_level"), ("900001", "detection_paranoia_level")),
    "EXECUTING_PARANOIA": (("900001", "executing_paranoia_level"),),
}
VARIABLES = {
    "BLOCKING_PARANOIA": ("900000", "blocking_paranoia_level"),
    "DETECTION_PARANOIA": ("900001", "detection_paranoia_level"),
    "ENFORCE_BODYPROC_URLENCODED": ("900010", "enforce_bodyproc_urlencoded"),
    "ANOMALY_INBOUND": ("900110", "inbound_anomaly_score_threshold"),
    "ANOMALY_OUTBOUND": ("900110", "outbound_anomaly_score_threshold"),
    "REPORTING_LEVEL": ("900115", "reporting_level"),
    "ALLOWED_METHODS": ("900200", "allowed_methods"),
    "ALLOWED_REQUEST_CONTENT_TYPE": ("900220", "allowed_request_content_type"),
    "ALLOWED_HTTP_VERSIONS": ("900230", "allowed_http_versions"),
    "RESTRICTED_EXTENSIONS": ("900240", "restricted_extensions"),
    "RESTRICTED_HEADERS_BASIC": ("900250", "restricted_headers_basic"),
    "RESTRICTED_HEADERS_EXTENDED": ("900255", "restricted_headers_extended"),
    "ALLOWED_REQUEST_CONTENT_TYPE_CHARSET": ("900280", "allowed_request_content_type_charset"),
    "MAX_NUM_ARGS": ("900300", "max_num_args"),
    "ARG_NAME_LENGTH": ("900310", "arg_name_length"),
    "ARG_LENGTH": ("900320", "arg_length"),
    "TOTAL_ARG_LENGTH": ("900330", "total_arg_length"),
    "MAX_FILE_SIZE": ("900340", "max_file_size"),
    "COMBINED_FILE_SIZES": ("900350", "combined_file_sizes"),
    "VALIDATE_UTF8_ENCODING": ("900950", "crs_validate_utf8_encoding"),
}


def configured(text: str, env: Mapping[str, str]) -> str:
    """The set-up file with all variables filled in; SystemExit if it has no rule for one."""
    lines = text.split("\n")
    wanted = [(name, place, False) for name, place in VARIABLES.items()]
    wanted = [(name, place, True) for name, places in LEGACY.items() for place in places] + wanted
    for name, (rule, variable), legacy in wanted:
        value = " ".join(env.get(name, "").split())
        if not value:
            continue
        if not _set(lines, rule, variable, value) and not legacy:
            raise SystemExit(f"no rule {rule} that sets tx.{variable}: {name}={value} has no effect; giving up")
    for i, line in enumerate(lines):
        found = re.match(r'SecDefaultAction "phase:([12])', line)
        action = env.get(f"MODSEC_DEFAULT_PHASE{found[1]}_ACTION") if found else None
        if action:
            lines[i] = f'SecDefaultAction "{action}"'
    return "\n".join(lines).replace("${MODSEC_TAG}", env.get("MODSEC_TAG") or "${MODSEC_TAG}")


def _set(lines: list[str], rule: str, variable: str, value: str) -> bool:
    """Enable a rule and set its variable, in place; False if there is no such rule."""
    at = next((i for i, line in enumerate(lines) if f"id:{rule}" in line), None)
    if at is None:
        return False
    if lines[at].startswith("#"):
        i = at - 1
        while lines[i] not in ("", "#"):
            lines[i] = lines[i].replace("#", "", 1)
            i += 1
    place = re.compile(rf"(setvar:'?tx\.{variable}=)[^,'\"]+")
    for i in range(at, len(lines)):
        if place.search(lines[i]):
            lines[i] = place.sub(lambda m: m[1] + value, lines[i])
            return True
    return False


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(configured(path.read_text(), os.environ))
