#!/usr/bin/env bash
# Prepares a Debian or Ubuntu host to become a node of the mesh. Can be run again at any time: each step first looks
# whether its work is done. Without --apply it only looks.
#
# With PREPARE_ROOT set, files are read and written below that folder, and commands that would change the machine are
# printed instead of run. The tests use it; it also shows what --apply would write.
set -euo pipefail

ROOT="${PREPARE_ROOT:-}"
ROLE=""
MODE=check
DATA_ROOT=/srv/agentic-mesh
DATA_DEVICE=""
FORMAT=no
UNLOCK=passphrase
PASSPHRASE_FILE=""
KEY_FILE=/etc/agentic-mesh/data.key
ADDRESS=""
NODE_NAME=""
AUTH_KEY_FILE=""
DEPLOY_USER=deploy
DEPLOY_KEY=""

readonly MAPPING=agentic-mesh-data
readonly BASE_PACKAGES=(ca-certificates curl python3 cryptsetup openssh-client unattended-upgrades)
readonly DOCKER_PACKAGES=(docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin)
readonly OLD_DOCKER_PACKAGES=(docker.io docker-compose docker-doc podman-docker containerd runc)
readonly DAEMON_JSON=/etc/docker/daemon.json
readonly CONTAINERD_CONFIG=/etc/containerd/config.toml
readonly DROP_IN=10-agentic-mesh.conf
readonly SYSCTL_FILE=/etc/sysctl.d/60-agentic-mesh.conf
readonly UPGRADES_FILE=/etc/apt/apt.conf.d/60agentic-mesh-upgrades

OS_ID="" OS_VERSION="" OS_CODENAME="" ARCHITECTURE=""
RESTART_DOCKER=no
STEP=""    # the step at work, for the closing message
FIX=""    # set by the checks: how to get what is missing
REPORT=()  # "state|step|note"
TEMPORARY=""

usage() {
  cat <<'TEXT'
usage: prepare-node.sh --role gpu|control [options]

Looks at this host and says what is missing for its role. With --apply it installs and configures what is missing.
Debian 12 and 13, Ubuntu 22.04 and 24.04; run it as root.

  --role ROLE            gpu (thanos) or control (oracle1)
  --check                only look, change nothing (the default)
  --apply                do what is missing

Encrypted data volume
  --data-root PATH       where it is mounted (default /srv/agentic-mesh); as the stack's `dataRoot`
  --data-device DEVICE   the block device that holds it; opened if it is a LUKS volume
  --format               set up encryption on DEVICE; only ever done when DEVICE is empty
  --unlock HOW           how it opens at boot (default passphrase):
                           passphrase  someone types it after each boot; nothing on the machine opens the volume
                           keyfile     a key on the system disk; guards the data disk when it leaves the machine alone,
                                       not the whole machine, unless the system disk is encrypted too
                           tpm2        sealed in this machine's TPM for its secure boot state; guards the disk without
                                       the machine, not a running or stolen machine that boots as usual
                         A passphrase is set in each case: keep it, it opens the volume when the other way fails.
  --passphrase-file FILE its first line is the passphrase (default: cryptsetup asks)
  --key-file PATH        the key of --unlock keyfile (default /etc/agentic-mesh/data.key)

Tailnet and deploys
  --address ADDRESS      tailnet address this node must have (default 100.64.1.1 for gpu, 100.64.1.2 for control)
  --name NAME            its name on the tailnet (default thanos or oracle1)
  --auth-key-file FILE   file with the tailnet auth key, `-` for standard input; never given as an argument
  --deploy-user NAME     user that deploys by SSH (default deploy, whom the tailnet's SSH rules name); in the docker
                         group, which equals root
  --deploy-key FILE      public SSH key for it, where the tailnet's own SSH is not used

  --help                 this text

Exit status: 0 nothing is missing, 1 something is missing or failed, 2 wrong use or wrong machine.
TEXT
}

say() { printf 'prepare-node: %s\n' "$*" >&2; }

# Ends with one error and its fix.
fail() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit "${3:-2}"
}

# Runs a command that changes the machine.
run() {
  if [[ -n $ROOT ]]; then
    say "not run below $ROOT: $*"
  else
    "$@"
  fi
}

# Path of a program of the node, empty where it is absent.
tool() {
  local folder
  for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    if [[ -x $ROOT$folder/$1 ]]; then
      printf '%s\n' "$ROOT$folder/$1"
      return
    fi
  done
}

# --- files ---------------------------------------------------------------------------------------------------------

# Writes standard input to a file, only where the content differs.
write_file() {
  local path="$ROOT$1" mode="$2" new
  mkdir -p "$(dirname "$path")"
  new="$(mktemp "$path.XXXXXX")"
  cat >"$new"
  if [[ -f $path ]] && cmp -s "$new" "$path"; then
    rm -f "$new"
  else
    chmod "$mode" "$new"
    mv -f "$new" "$path"
  fi
}

file_is() { [[ -f $ROOT$1 && "$(cat "$ROOT$1")" == "$2" ]]; }

# Gives a table such as fstab exactly one line whose first or second field is KEY; other lines stay as they are.
set_table_line() {
  local path="$1" field="$2" key="$3" line="$4" current=""
  [[ -f $ROOT$path ]] && current="$(cat "$ROOT$path")"
  printf '%s\n' "$current" | awk -v field="$field" -v key="$key" -v line="$line" '
    NR == 1 && $0 == "" { next }
    $0 !~ /^[[:space:]]*#/ && $field == key { if (!seen++) print line; next }
    { print }
    END { if (!seen) print line }
  ' | write_file "$path" 0644
}

has_table_line() { [[ -f $ROOT$1 ]] && grep -qxF -- "$2" "$ROOT$1"; }

# --- the machine ---------------------------------------------------------------------------------------------------

require_root() {
  if [[ -z $ROOT && $(id -u) -ne 0 ]]; then
    fail "this must run as root" "sudo $0 --role ${ROLE:-gpu}"
  fi
}

read_os() {
  local file="$ROOT/etc/os-release" key value
  [[ -r $file ]] || fail "this system does not say what it is ($file is missing)" "use Debian 12 or 13, or Ubuntu 22.04 or 24.04"
  while IFS='=' read -r key value; do
    value="${value%\"}"
    value="${value#\"}"
    case "$key" in
      ID) OS_ID="$value" ;;
      VERSION_ID) OS_VERSION="$value" ;;
      VERSION_CODENAME) OS_CODENAME="$value" ;;
    esac
  done <"$file"
  case "$OS_ID $OS_VERSION" in
    "debian 12" | "debian 13" | "ubuntu 22.04" | "ubuntu 24.04") ;;
    *) fail "this system is '$OS_ID $OS_VERSION', which is not supported" "use Debian 12 or 13, or Ubuntu 22.04 or 24.04" ;;
  esac
}

read_architecture() {
  case "$(uname -m)" in
    x86_64) ARCHITECTURE=amd64 ;;
    aarch64) ARCHITECTURE=arm64 ;;
    *) fail "this processor is '$(uname -m)', which is not supported" "use an amd64 or arm64 machine" ;;
  esac
}

# --- packages ------------------------------------------------------------------------------------------------------

installed() {
  local status="$ROOT/var/lib/dpkg/status" package
  for package in "$@"; do
    [[ -f $status ]] || return 1
    awk -v name="$package" '
      /^Package: / { here = ($2 == name) }
      here && /^Status: install ok installed/ { found = 1; exit }
      END { exit !found }
    ' "$status" || return 1
  done
}

apt_install() {
  run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o Dpkg::Options::=--force-confold "$@"
}

# Adds an apt repository with its signing key, unless any source list names it already.
add_repository() {
  local name="$1" key_url="$2" key="$3" address="$4" suite="$5" components="$6"
  if has_repository "$address"; then
    return
  fi
  run install -d -m 0755 "$(dirname "$key")"
  run curl -fsSL --proto '=https' --retry 3 -o "$key" "$key_url"
  run chmod 0644 "$key"
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s\n' "$address" "$suite"
    if [[ -n $components ]]; then printf 'Components: %s\n' "$components"; fi
    printf 'Architectures: %s\nSigned-By: %s\n' "$ARCHITECTURE" "$key"
  } | write_file "/etc/apt/sources.list.d/$name.sources" 0644
  run apt-get update -q
}

has_repository() {
  grep -rqsF -- "$1" "$ROOT/etc/apt/sources.list" "$ROOT/etc/apt/sources.list.d"
}

check_base() {
  FIX="apt-get install ${BASE_PACKAGES[*]}"
  installed "${BASE_PACKAGES[@]}"
}

apply_base() {
  run apt-get update -q
  apt_install "${BASE_PACKAGES[@]}"
}

# --- encrypted data volume -----------------------------------------------------------------------------------------

# The device mounted at a folder or at the nearest folder above it.
mounted_source() {
  local folder="$1" source
  while :; do
    source="$(awk -v at="$folder" '$2 == at { last = $1 } END { print last }' "$ROOT/proc/mounts" 2>/dev/null || true)"
    if [[ -n $source || $folder == / ]]; then
      printf '%s\n' "$source"
      return
    fi
    folder="$(dirname "$folder")"
  done
}

# Whether a block device, by its kernel name, lies on dm-crypt, however deep (LVM on LUKS, say).
lies_on_crypt() {
  local name="$1" block="$ROOT/sys/class/block/$1" below
  if grep -qs '^CRYPT-' "$block/dm/uuid"; then
    return 0
  fi
  for below in "$block"/slaves/*; do
    [[ -e $below ]] && lies_on_crypt "$(basename "$below")" && return 0
  done
  return 1
}

data_is_encrypted() {
  local source
  source="$(mounted_source "$DATA_ROOT")"
  [[ $source == /dev/* ]] && lies_on_crypt "$(basename "$(readlink -f "$ROOT$source")")"
}

check_data() {
  if [[ -n $DATA_DEVICE ]]; then
    FIX="--apply opens $DATA_DEVICE and mounts it at $DATA_ROOT; add --format if it is a new, empty device"
  else
    FIX="name the device: --data-device /dev/DEVICE, with --format if it is new and empty (lsblk lists devices)"
  fi
  data_is_encrypted || return 1
  [[ -z $DATA_DEVICE || $(mounted_source "$DATA_ROOT") != "/dev/mapper/$MAPPING" ]] || data_tables_are_set
}

data_tables_are_set() {
  has_table_line /etc/fstab "$(fstab_line)" &&
    grep -qsxE "$(crypttab_line '[0-9a-f-]+')" "$ROOT/etc/crypttab"
}

apply_data() {
  local uuid
  if [[ -z $DATA_DEVICE ]]; then
    fail "$DATA_ROOT is not on an encrypted volume" "$FIX" 1
  fi
  require_block_device
  if ! run cryptsetup isLuks "$DATA_DEVICE"; then
    format_data
  elif [[ $FORMAT == yes ]]; then
    say "$DATA_DEVICE is an encrypted volume already: it is opened, not formatted"
  fi
  prepare_unlock
  uuid="$(run cryptsetup luksUUID "$DATA_DEVICE")"
  set_table_line /etc/crypttab 1 "$MAPPING" "$(crypttab_line "$uuid")"
  open_data
  if [[ -z $(run blkid -p -s TYPE -o value "/dev/mapper/$MAPPING" || true) ]]; then
    say "making an ext4 file system on the new volume"
    run mkfs.ext4 -q -L agentic-mesh "/dev/mapper/$MAPPING"
  fi
  set_table_line /etc/fstab 2 "$DATA_ROOT" "$(fstab_line)"
  run systemctl daemon-reload
  mkdir -p "$ROOT$DATA_ROOT"
  if [[ $(mounted_source "$DATA_ROOT") != "/dev/mapper/$MAPPING" ]]; then
    run mount "$DATA_ROOT"
  fi
}

require_block_device() {
  [[ -b $DATA_DEVICE ]] || fail "$DATA_DEVICE is not a block device" "take one from the output of: lsblk -o NAME,SIZE,TYPE,MOUNTPOINTS" 2
}

# The only place that overwrites anything: a device that was named, that --format allows, and that is empty.
format_data() {
  if [[ $FORMAT != yes ]]; then
    fail "$DATA_DEVICE is not an encrypted volume yet" "add --format, if it is the right device and empty" 1
  fi
  if ! device_is_empty "$DATA_DEVICE"; then
    fail "$DATA_DEVICE is not empty; it is never formatted" "look at it with: lsblk -f $DATA_DEVICE; if you are sure, empty it yourself with blkdiscard or wipefs and zeros" 1
  fi
  say "setting up LUKS encryption on $DATA_DEVICE"
  with_passphrase cryptsetup luksFormat --type luks2 "$DATA_DEVICE"
}

# No partitions, no users, no signature that blkid knows, and zeros in the first and the last 4 MiB.
device_is_empty() {
  local device="$1" status=0 size
  [[ $(lsblk -nro NAME "$device" | wc -l) -eq 1 ]] || return 1
  [[ -z $(lsblk -nro MOUNTPOINT "$device") ]] || return 1
  blkid -p "$device" >/dev/null 2>&1 || status=$?
  [[ $status -eq 2 ]] || return 1
  size="$(blockdev --getsize64 "$device")"
  is_zero "$device" 0 && is_zero "$device" $((size - 4194304))
}

# Whether the 4 MiB from an offset on are zeros.
is_zero() {
  local device="$1" offset="$2"
  if ((offset < 0)); then offset=0; fi
  cmp -s -n 4194304 -i "$offset:0" "$device" /dev/zero
}

# Hands the passphrase to cryptsetup by standard input, or lets it ask.
with_passphrase() {
  if [[ -n $PASSPHRASE_FILE ]]; then
    run "$1" "$2" --batch-mode "${@:3}" <"$PASSPHRASE_FILE"
  else
    run "$@"
  fi
}

open_data() {
  if [[ -e $ROOT/dev/mapper/$MAPPING ]]; then
    return
  fi
  if [[ $UNLOCK == keyfile ]]; then
    run cryptsetup open --key-file "$KEY_FILE" "$DATA_DEVICE" "$MAPPING"
  else
    with_passphrase cryptsetup open "$DATA_DEVICE" "$MAPPING"
  fi
}

# Adds the key by which the volume opens at boot.
prepare_unlock() {
  case "$UNLOCK" in
    keyfile)
      if [[ ! -s $ROOT$KEY_FILE ]]; then
        head -c 64 /dev/urandom | write_file "$KEY_FILE" 0400
      fi
      if ! run cryptsetup open --test-passphrase --key-file "$KEY_FILE" "$DATA_DEVICE"; then
        with_passphrase cryptsetup luksAddKey "$DATA_DEVICE" "$KEY_FILE"
      fi
      ;;
    tpm2)
      if [[ -z $ROOT ]] && ! systemctl --version | grep +TPM2 >/dev/null; then
        fail "this system's systemd cannot use a TPM" "take --unlock passphrase or keyfile, or a newer release (Debian 12, Ubuntu 24.04)" 1
      fi
      if ! run cryptsetup luksDump "$DATA_DEVICE" | grep systemd-tpm2 >/dev/null; then
        enroll_tpm
      fi
      ;;
  esac
}

enroll_tpm() {
  if [[ -n $PASSPHRASE_FILE ]]; then
    PASSWORD="$(head -n 1 "$PASSPHRASE_FILE")" run systemd-cryptenroll --tpm2-device=auto --tpm2-pcrs=7 "$DATA_DEVICE"
  else
    run systemd-cryptenroll --tpm2-device=auto --tpm2-pcrs=7 "$DATA_DEVICE"
  fi
}

# `nofail`: a volume that stays shut does not keep the machine from booting; Docker then waits (see the drop-in).
crypttab_line() {
  case "$UNLOCK" in
    passphrase) printf '%s UUID=%s none luks,nofail\n' "$MAPPING" "$1" ;;
    keyfile) printf '%s UUID=%s %s luks,nofail\n' "$MAPPING" "$1" "$KEY_FILE" ;;
    tpm2) printf '%s UUID=%s none luks,nofail,tpm2-device=auto\n' "$MAPPING" "$1" ;;
  esac
}

fstab_line() { printf '/dev/mapper/%s %s ext4 defaults,nofail 0 2\n' "$MAPPING" "$DATA_ROOT"; }

# --- Docker --------------------------------------------------------------------------------------------------------

# 25.0.5 and everything from 26 on: earlier ones let internal containers reach outside DNS (CVE-2024-29018).
docker_is_fixed() {
  local major minor patch
  IFS=. read -r major minor patch <<<"$1"
  patch="${patch%%[^0-9]*}"
  if ((major >= 26)); then return 0; fi
  if ((major < 25)); then return 1; fi
  ((minor > 0 || patch >= 5))
}

docker_version() {
  local dockerd
  dockerd="$(tool dockerd)"
  if [[ -n $dockerd ]]; then
    "$dockerd" --version | sed -nE 's/^Docker version ([0-9]+\.[0-9]+\.[0-9]+).*/\1/p'
  fi
}

check_docker() {
  local version
  version="$(docker_version)"
  FIX="--apply installs it from Docker's apt repository"
  if [[ -z $version ]]; then
    return 1
  fi
  FIX="this is $version; 25.0.5 or 26 and later are needed: --apply updates it from Docker's apt repository"
  docker_is_fixed "$version"
}

apply_docker() {
  local package
  for package in "${OLD_DOCKER_PACKAGES[@]}"; do
    if installed "$package"; then
      say "removing $package, which Docker's own packages replace; images and volumes stay"
      run apt-get remove -y -q "$package"
    fi
  done
  add_repository docker "https://download.docker.com/linux/$OS_ID/gpg" /etc/apt/keyrings/docker.asc \
    "https://download.docker.com/linux/$OS_ID" "$OS_CODENAME" stable
  apt_install "${DOCKER_PACKAGES[@]}"
  RESTART_DOCKER=yes
}

# With systemd's cgroup driver, running containers lose the GPU at each `systemctl daemon-reload`, which any package
# upgrade may trigger (NVIDIA/nvidia-container-toolkit, issues 48 and 1227). So a GPU node uses the cgroupfs driver.
cgroup_driver() {
  if [[ $ROLE == gpu ]]; then printf '\n  "exec-opts": ["native.cgroupdriver=cgroupfs"],'; fi
}

# Our settings of the daemon. `userland-proxy` stays as it is: a start before the tailnet address is there was tried
# with it. json-file is what the log shipper reads.
daemon_settings() {
  cat <<JSON
{
  "data-root": "$DATA_ROOT/docker",
  "live-restore": true,$(cgroup_driver)
  "log-driver": "json-file",
  "log-opts": {"max-size": "10m", "max-file": "3"},
  "runtimes": {"runsc": {"path": "/usr/bin/runsc"}}
}
JSON
}

# Prints the merged file: our values win, other keys stay, and existing runtimes keep their settings. log-opts are
# replaced as a whole and default-ulimits removed: Docker adds both to each container, where Pulumi would find values
# that the program did not set and replace every container at each `up`.
merged_daemon_json() {
  daemon_settings | python3 -c '
import json, sys
from pathlib import Path

path = Path(sys.argv[1])
text = path.read_text() if path.exists() else ""
try:
    current = json.loads(text) if text.strip() else {}
except ValueError as error:
    sys.exit(f"{path} is not JSON: {error}")
if not isinstance(current, dict):
    sys.exit(f"{path} is not a JSON object")
ours = json.load(sys.stdin)
runtimes = {**ours.pop("runtimes"), **current.get("runtimes", {})}
execution = ours.pop("exec-opts", [])
names = [option.partition("=")[0] for option in execution]
execution += [option for option in current.get("exec-opts", []) if option.partition("=")[0] not in names]
merged = {**current, **ours, "runtimes": runtimes, **({"exec-opts": execution} if execution else {})}
merged.pop("default-ulimits", None)
unchanged = merged == current
print(text.strip() if unchanged else json.dumps(merged, indent=2))
' "$ROOT$DAEMON_JSON"
}

# Docker would not find what it has stored elsewhere: moving that is a decision for a person.
refuse_to_strand_docker() {
  local now
  now="$(current_docker_root)"
  if [[ $now != "$DATA_ROOT/docker" && -n $(ls -A "$ROOT$now/containers" 2>/dev/null || true) ]]; then
    fail "Docker keeps containers in $now, outside the encrypted data root" \
      "remove them (docker rm), or stop Docker and move $now to $DATA_ROOT/docker; then run this again" 1
  fi
}

current_docker_root() {
  python3 -c '
import json, sys
try:
    print(json.load(open(sys.argv[1])).get("data-root", "/var/lib/docker"))
except (OSError, ValueError, AttributeError):
    print("/var/lib/docker")
' "$ROOT$DAEMON_JSON"
}

check_daemon() {
  FIX="--apply merges data-root, log limits, live-restore, the runsc runtime"
  if [[ $ROLE == gpu ]]; then FIX+=", the cgroup driver"; fi
  FIX+=" into $DAEMON_JSON"
  if [[ -z $(command -v python3) ]]; then
    return 1
  fi
  [[ -f $ROOT$DAEMON_JSON ]] && file_is "$DAEMON_JSON" "$(merged_daemon_json)"
}

apply_daemon() {
  local merged
  refuse_to_strand_docker
  if ! merged="$(merged_daemon_json)"; then
    fail "$DAEMON_JSON cannot be read (see above)" "correct it by hand; Docker does not start with it either" 1
  fi
  if [[ -f $ROOT$DAEMON_JSON && ! -f $ROOT$DAEMON_JSON.before-agentic-mesh ]]; then
    cp -p "$ROOT$DAEMON_JSON" "$ROOT$DAEMON_JSON.before-agentic-mesh"
  fi
  mkdir -p "$ROOT$DATA_ROOT/docker"
  chmod 0710 "$ROOT$DATA_ROOT/docker"
  printf '%s\n' "$merged" | write_file "$DAEMON_JSON" 0644
  RESTART_DOCKER=yes
}

containerd_root_line() { printf 'root = "%s/containerd"\n' "$DATA_ROOT"; }

# Docker 29 and later keep images and container layers with containerd, outside Docker's data-root.
check_containerd() {
  FIX="--apply sets \`root\` in $CONTAINERD_CONFIG, since newer Docker keeps images with containerd"
  has_table_line "$CONTAINERD_CONFIG" "$(containerd_root_line)"
}

apply_containerd() {
  local rest=""
  if [[ -f $ROOT$CONTAINERD_CONFIG ]]; then
    rest="$(awk '/^[[:space:]]*\[/ { table = 1 } !table && /^root[[:space:]]*=/ { next } { print }' "$ROOT$CONTAINERD_CONFIG")"
  fi
  { containerd_root_line; printf '%s\n' "$rest"; } | write_file "$CONTAINERD_CONFIG" 0644
  RESTART_DOCKER=yes
}

drop_in() { printf '[Unit]\nRequiresMountsFor=%s\n' "$DATA_ROOT"; }

# With the volume still shut, Docker would otherwise start anew on the unencrypted folder below it.
check_drop_in() {
  FIX="--apply makes Docker and containerd wait until $DATA_ROOT is mounted"
  file_is "/etc/systemd/system/docker.service.d/$DROP_IN" "$(drop_in)" &&
    file_is "/etc/systemd/system/containerd.service.d/$DROP_IN" "$(drop_in)"
}

apply_drop_in() {
  local service
  for service in docker containerd; do
    drop_in | write_file "/etc/systemd/system/$service.service.d/$DROP_IN" 0644
  done
  run systemctl daemon-reload
}

# --- gVisor and the GPU --------------------------------------------------------------------------------------------

check_gvisor() {
  FIX="--apply installs runsc from gVisor's apt repository"
  [[ -n $(tool runsc) ]]
}

apply_gvisor() {
  add_repository gvisor https://gvisor.dev/archive.key /etc/apt/keyrings/gvisor.asc \
    https://storage.googleapis.com/gvisor/releases release main
  apt_install runsc
  RESTART_DOCKER=yes
}

# Left to a person: the right driver depends on card, kernel and secure boot.
check_driver() {
  local nvidia_smi
  nvidia_smi="$(tool nvidia-smi)"
  if [[ $OS_ID == ubuntu ]]; then
    FIX="install it and reboot: apt-get install ubuntu-drivers-common && ubuntu-drivers install --gpgpu"
  else
    FIX="install it and reboot: add non-free and non-free-firmware to apt's components, then apt-get install nvidia-driver"
  fi
  [[ -n $nvidia_smi ]] && "$nvidia_smi" -L 2>/dev/null | grep '^GPU ' >/dev/null
}

check_toolkit() {
  FIX="--apply installs it from NVIDIA's apt repository and adds its runtime to Docker"
  [[ -n $(tool nvidia-ctk) ]] && grep -qs '"nvidia"' "$ROOT$DAEMON_JSON"
}

apply_toolkit() {
  add_repository nvidia-container-toolkit https://nvidia.github.io/libnvidia-container/gpgkey \
    /etc/apt/keyrings/nvidia-container-toolkit.asc \
    "https://nvidia.github.io/libnvidia-container/stable/deb/$ARCHITECTURE" / ""
  apt_install nvidia-container-toolkit
  run nvidia-ctk runtime configure --runtime=docker
  RESTART_DOCKER=yes
}

# --- system --------------------------------------------------------------------------------------------------------

# So that the gateway starts although the tailnet address appears late after a boot.
check_sysctl() {
  FIX="--apply writes $SYSCTL_FILE"
  file_is "$SYSCTL_FILE" "net.ipv4.ip_nonlocal_bind=1" &&
    [[ $(cat "$ROOT/proc/sys/net/ipv4/ip_nonlocal_bind" 2>/dev/null || true) == 1 ]]
}

apply_sysctl() {
  printf 'net.ipv4.ip_nonlocal_bind=1\n' | write_file "$SYSCTL_FILE" 0644
  run sysctl -q -p "$SYSCTL_FILE"
}

# If the driver is upgraded while programs run, the GPU fails for all of them until a reboot ("Driver/library version
# mismatch"), and after a reboot into a kernel without the driver's modules there is no GPU at all. So on a GPU node an
# operator upgrades driver and kernel together and then reboots (docs/runbooks/first-day.md).
upgrades() {
  printf 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
  if [[ $ROLE == gpu ]]; then
    printf 'Unattended-Upgrade::Package-Blacklist { "nvidia-"; "libnvidia-"; "libcuda"; '
    printf '"linux-(image|headers|modules|generic)"; };\n'
  fi
}

check_upgrades() {
  FIX="--apply turns on the distribution's own security upgrades (Docker is not among them"
  if [[ $ROLE == gpu ]]; then FIX+=", nor are the NVIDIA driver and the kernel"; fi
  FIX+=")"
  installed unattended-upgrades && file_is "$UPGRADES_FILE" "$(upgrades)"
}

apply_upgrades() { upgrades | write_file "$UPGRADES_FILE" 0644; }

home_of() { awk -F: -v user="$1" '$1 == user { print $6 }' "$ROOT/etc/passwd" 2>/dev/null || true; }

in_docker_group() {
  awk -F: -v user="$1" '
    $1 == "docker" { n = split($4, members, ","); for (i = 1; i <= n; i++) if (members[i] == user) found = 1 }
    END { exit !found }
  ' "$ROOT/etc/group" 2>/dev/null
}

check_user() {
  local home
  FIX="--apply makes the user and puts it into the docker group"
  home="$(home_of "$DEPLOY_USER")"
  [[ -n $home ]] && in_docker_group "$DEPLOY_USER" || return 1
  [[ -z $DEPLOY_KEY ]] || has_table_line "$home/.ssh/authorized_keys" "$(head -n 1 "$DEPLOY_KEY")"
}

apply_user() {
  local home
  if [[ -z $(home_of "$DEPLOY_USER") ]]; then
    run useradd --create-home --shell /bin/bash "$DEPLOY_USER"
  fi
  run usermod --append --groups docker "$DEPLOY_USER"
  home="$(home_of "$DEPLOY_USER")"
  if [[ -n $DEPLOY_KEY && -n $home ]]; then
    authorize "$home"
  fi
}

authorize() {
  local keys="$1/.ssh/authorized_keys" current=""
  [[ -f $ROOT$keys ]] && current="$(cat "$ROOT$keys")"
  if ! has_table_line "$keys" "$(head -n 1 "$DEPLOY_KEY")"; then
    { if [[ -n $current ]]; then printf '%s\n' "$current"; fi; head -n 1 "$DEPLOY_KEY"; } | write_file "$keys" 0600
  fi
  chmod 0700 "$ROOT$1/.ssh"
  run chown -R "$DEPLOY_USER:" "$1/.ssh"
}

# --- tailnet -------------------------------------------------------------------------------------------------------

check_tailscale() {
  FIX="--apply installs it from Tailscale's apt repository"
  [[ -n $(tool tailscale) ]]
}

apply_tailscale() {
  add_repository tailscale "https://pkgs.tailscale.com/stable/$OS_ID/$OS_CODENAME.noarmor.gpg" \
    /etc/apt/keyrings/tailscale.gpg "https://pkgs.tailscale.com/stable/$OS_ID" "$OS_CODENAME" main
  apt_install tailscale
}

tailnet_address() {
  local tailscale
  tailscale="$(tool tailscale)"
  if [[ -n $tailscale ]]; then
    "$tailscale" ip -4 2>/dev/null | head -n 1 || true
  fi
}

check_joined() {
  FIX="run this with --apply --auth-key-file FILE (docs/runbooks/first-day.md says where the key comes from)"
  [[ -n $(tailnet_address) ]]
}

# At the start, before any other program can read from standard input.
take_auth_key() {
  if [[ $AUTH_KEY_FILE == - ]]; then
    TEMPORARY="$(mktemp)"
    cat >"$TEMPORARY"
    AUTH_KEY_FILE="$TEMPORARY"
  fi
  if [[ -n $AUTH_KEY_FILE ]] && ! grep -q '^tskey-' "$AUTH_KEY_FILE"; then
    fail "the auth key does not start with 'tskey-'" "give the key as it was shown, on one line" 2
  fi
}

apply_joined() {
  if [[ -n $AUTH_KEY_FILE ]]; then
    run tailscale up --auth-key "file:$(readlink -f "$AUTH_KEY_FILE")" --hostname "$NODE_NAME" --ssh
  fi
}

check_address() {
  local now
  now="$(tailnet_address)"
  FIX="this is ${now:-no address}, $ADDRESS is wanted: set it in the admin console (Machines, the machine's menu, Edit machine IPv4)"
  [[ $now == "$ADDRESS" ]]
}

# --- steps ---------------------------------------------------------------------------------------------------------

nothing_to_apply() { :; }

# step NAME CHECK APPLY: look, and where that is wanted and needed, do and look again.
step() {
  local name="$1" check="$2" apply="$3"
  STEP="$name"
  FIX=""
  if "$check"; then
    REPORT+=("ok|$name|")
    return
  fi
  if [[ $MODE == check || $apply == nothing_to_apply ]]; then
    REPORT+=("missing|$name|$FIX")
    return
  fi
  say "$name ..."
  "$apply"
  if "$check"; then
    REPORT+=("done|$name|")
  elif [[ -n $ROOT ]]; then
    REPORT+=("missing|$name|below $ROOT only files are written")
  else
    REPORT+=("missing|$name|$FIX")
  fi
}

restart_docker() {
  if [[ $RESTART_DOCKER == yes ]]; then
    STEP="Docker restart"
    say "restarting containerd and Docker with the new settings"
    run systemctl enable --now containerd docker
    run systemctl restart containerd docker
  fi
}

steps() {
  step "base packages" check_base apply_base
  step "encrypted data volume" check_data apply_data
  step "Docker settings" check_daemon apply_daemon
  step "Docker waits for the volume" check_drop_in apply_drop_in
  step "Docker 25.0.5, 26 or later" check_docker apply_docker
  step "images on the volume" check_containerd apply_containerd
  step "gVisor" check_gvisor apply_gvisor
  if [[ $ROLE == gpu ]]; then
    step "NVIDIA driver" check_driver nothing_to_apply
    step "NVIDIA container toolkit" check_toolkit apply_toolkit
  fi
  step "early bind sysctl" check_sysctl apply_sysctl
  step "deploy user" check_user apply_user
  step "security upgrades" check_upgrades apply_upgrades
  restart_docker
  step "Tailscale" check_tailscale apply_tailscale
  step "joined the tailnet" check_joined apply_joined
  step "tailnet address $ADDRESS" check_address nothing_to_apply
  STEP=""
}

report() {
  local line state name note
  if [[ ${#REPORT[@]} -gt 0 ]]; then
    printf '\n%-8s %-28s %s\n' state step note
    for line in "${REPORT[@]}"; do
      IFS='|' read -r state name note <<<"$line"
      printf '%-8s %-28s %s\n' "$state" "$name" "$note"
    done
  fi
}

finish() {
  local status=$?
  if [[ -n $TEMPORARY ]]; then rm -f "$TEMPORARY"; fi
  report
  if [[ $status -ne 0 && -n $STEP ]]; then
    printf '\nstopped at: %s. Fix what is said above and run this again; what is done is not done twice.\n' "$STEP" >&2
  fi
}

missing_count() {
  local line count=0
  for line in "${REPORT[@]}"; do
    if [[ $line == missing* ]]; then count=$((count + 1)); fi
  done
  printf '%s\n' "$count"
}

# --- arguments -----------------------------------------------------------------------------------------------------

parse() {
  while (($#)); do
    case "$1" in
      --help | -h) usage; exit 0 ;;
      --check) MODE=check; shift; continue ;;
      --apply) MODE=apply; shift; continue ;;
      --format) FORMAT=yes; shift; continue ;;
    esac
    [[ $1 == --* ]] || fail "'$1' is not an option" "$0 --help"
    (($# >= 2)) || fail "$1 is unknown or needs a value" "$0 --help"
    case "$1" in
      --role) ROLE="$2" ;;
      --data-root) DATA_ROOT="${2%/}" ;;
      --data-device) DATA_DEVICE="$2" ;;
      --unlock) UNLOCK="$2" ;;
      --passphrase-file) PASSPHRASE_FILE="$2" ;;
      --key-file) KEY_FILE="$2" ;;
      --address) ADDRESS="$2" ;;
      --name) NODE_NAME="$2" ;;
      --auth-key-file) AUTH_KEY_FILE="$2" ;;
      --deploy-user) DEPLOY_USER="$2" ;;
      --deploy-key) DEPLOY_KEY="$2" ;;
      *) fail "$1 is not an option" "$0 --help" ;;
    esac
    shift 2
  done
}

validate() {
  case "$ROLE" in
    gpu) : "${ADDRESS:=100.64.1.1}" "${NODE_NAME:=thanos}" ;;
    control) : "${ADDRESS:=100.64.1.2}" "${NODE_NAME:=oracle1}" ;;
    *) fail "--role is '${ROLE}'" "--role gpu or --role control" ;;
  esac
  case "$UNLOCK" in
    passphrase | keyfile | tpm2) ;;
    *) fail "--unlock is '$UNLOCK'" "--unlock passphrase, keyfile or tpm2" ;;
  esac
  [[ $DATA_ROOT =~ ^(/[A-Za-z0-9._-]+)+$ ]] || fail "--data-root is '$DATA_ROOT'" "an absolute path without blanks, such as /srv/agentic-mesh"
  [[ $ADDRESS =~ ^100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.[0-9]{1,3}\.[0-9]{1,3}$ ]] ||
    fail "--address is '$ADDRESS'" "an address of the tailnet, in 100.64.0.0/10, such as 100.64.1.1"
  [[ $NODE_NAME =~ ^[a-z][a-z0-9-]{0,30}[a-z0-9]$ ]] || fail "--name is '$NODE_NAME'" "small letters, digits and dashes, such as thanos"
  [[ $DEPLOY_USER =~ ^[a-z_][a-z0-9_-]{0,30}$ ]] || fail "--deploy-user is '$DEPLOY_USER'" "a user name, such as deploy"
  if [[ $FORMAT == yes && -z $DATA_DEVICE ]]; then
    fail "--format needs a device" "name the empty device: --data-device /dev/DEVICE"
  fi
  if [[ -n $DATA_DEVICE ]]; then require_block_device; fi
  if [[ $AUTH_KEY_FILE == tskey-* ]]; then
    fail "--auth-key-file takes a file, not the key: arguments can be read by every user of the machine" "put the key into a file, or give it by standard input with --auth-key-file -"
  fi
  require_readable "$PASSPHRASE_FILE" --passphrase-file
  require_readable "$DEPLOY_KEY" --deploy-key
  if [[ $AUTH_KEY_FILE != - ]]; then require_readable "$AUTH_KEY_FILE" --auth-key-file; fi
}

require_readable() {
  if [[ -n $1 && ! -r $1 ]]; then
    fail "$2: $1 cannot be read" "check the path and its permissions"
  fi
}

main() {
  local missing
  parse "$@"
  validate
  require_root
  read_os
  read_architecture
  umask 022
  trap finish EXIT
  if [[ $MODE == apply ]]; then take_auth_key; fi
  say "$OS_ID $OS_VERSION ($ARCHITECTURE), role $ROLE, mode $MODE"
  steps
  missing="$(missing_count)"
  if ((missing > 0)); then
    if [[ $MODE == check ]]; then say "$missing missing; --apply does what it can"; fi
    exit 1
  fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  main "$@"
fi
