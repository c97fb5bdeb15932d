#!/usr/bin/env bash
# Prepares the images of the default environments: `debian` and `busybox`. What the cache has is left as it is. Where
# Docker Hub answers they are pulled; otherwise they are made from Debian's packages. Needs root, and apt for the latter.
# `debian` is made from packages wherever there is apt: the Hub's has neither editor, nor top, nor curl.
#
#   BERTH           the berth program (bin/berth)
#   BERTH_DATA_DIR  where Berth keeps its data (/var/lib/berth)
#   BERTH_IMAGES    which images (debian busybox)
#   BERTH_REGISTRY  where to pull from (docker.io/library); empty: never, always make them
#   BERTH_SUITE     suite of the Debian that is made (bookworm)
set -euo pipefail

berth=${BERTH:-bin/berth}
wanted=${BERTH_IMAGES:-debian busybox}
registry=${BERTH_REGISTRY-docker.io/library}
suite=${BERTH_SUITE:-bookworm}

# What one expects of a shell: an editor or two, top and ps, ip and ping, curl, completion. About 200 MB.
packages=ca-certificates,bash-completion,vim-tiny,nano,less,procps,iproute2,iputils-ping,curl

probe_seconds=3      # for the registry to say anything at all
pull_timeout=10m     # for a pull that has begun
here=$(cd "$(dirname "$0")" && pwd)

say() { printf 'images: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

have() { "$berth" image ls "$1" >/dev/null 2>&1; }

# need PROGRAM=PACKAGE…: installs the packages whose programs are missing.
need() {
  local missing=() pair
  for pair in "$@"; do
    [[ -e ${pair%%=*} ]] || command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "needs ${missing[*]}, and there is no apt-get to install it: install it by hand, or import an image with '$berth image import'"
  say "installing ${missing[*]} (about 10 seconds)"
  # A machine that has never run apt-get update knows no packages.
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$work/apt.log" 2>&1 ||
    { cat "$work/apt.log" >&2; die "cannot install ${missing[*]}"; }
}

# The registry is asked once: any answer of HTTP will do.
registry_answers() {
  [[ -n $registry ]] || return 1
  local host=${registry%%/*}
  [[ $host == docker.io ]] && host=registry-1.docker.io
  if command -v curl >/dev/null; then
    curl -s -o "$work/probe" --max-time "$probe_seconds" "https://$host/v2/"
  else
    timeout "$probe_seconds" bash -c "exec 3<>/dev/tcp/${host%%:*}/443" 2>/dev/null
  fi
}

# pull NAME REF
pull() {
  say "$1: pulling $registry/$2 (usually under a minute)"
  "$berth" image pull --timeout "$pull_timeout" --name "$1" "$registry/$2"
}

make_debian() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg # Ubuntu's own does not know Debian
  need mmdebstrap=mmdebstrap "$keyring=debian-archive-keyring"
  say "debian: making it from packages of $suite (20 to 100 seconds)"
  local sources=()
  mapfile -t sources < <(debian_sources)
  # The same packages on the same day make the same image.
  local -x SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date -u -d "$(date -u +%F)" +%s)}
  mmdebstrap --variant=minbase --format=tar --include="$packages" --keyring="$keyring" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="copy-in '$here/environments/debian/.bashrc' /root" \
    --customize-hook='chroot "$1" chown -R 0:0 /root' \
    --customize-hook='rm -rf "$1"/var/cache/apt/*.bin "$1"/var/log/apt "$1"/var/log/dpkg.log "$1"/var/log/alternatives.log "$1"/etc/hostname "$1"/etc/resolv.conf' \
    "$suite" "$work/debian.tar" "${sources[@]}" >"$work/debian.log" 2>&1 ||
    { tail -n 20 "$work/debian.log" >&2; die "debian: mmdebstrap failed"; }
  say "debian: unpacking"
  "$berth" image import --rootfs --name debian --cmd bash --env LANG=C.UTF-8 "$work/debian.tar" 2>"$work/notes" ||
    { cat "$work/notes" >&2; return 1; }
}

# The sources of the image: the suite, its updates and security fixes, from the mirrors that the host uses if it is a
# Debian, else from Debian's own.
debian_sources() {
  local archive security
  archive=$(host_mirror debian)
  security=$(host_mirror debian-security)
  archive=${archive:-http://deb.debian.org/debian}
  security=${security:-http://deb.debian.org/debian-security}
  printf 'deb %s %s main\n' "$archive" "$suite" "$archive" "$suite-updates" "$security" "$suite-security"
}

# host_mirror NAME: the first of the host's sources whose path ends with NAME.
host_mirror() {
  { sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' /etc/apt/sources.list.d/*.sources
    sed -n 's/^deb \(\[[^]]*\] \)\?\([^[:space:]]*\).*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
  } 2>/dev/null | sed 's|/$||' | grep -E "/$1\$" | head -n 1 || true
}

make_busybox() {
  need busybox=busybox-static
  say "busybox: making it from busybox-static (about 3 seconds)"
  local root=$work/busybox program
  program=$(static_busybox)
  mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,usr/sbin,sbin,var/spool,var/tmp}
  chmod 0700 "$root/root"
  chmod 1777 "$root"/{tmp,var/tmp}
  install -m 0755 "$program" "$root/bin/busybox"
  local applet
  while read -r applet; do
    [[ $applet == */busybox || $applet == busybox ]] || ln -sf /bin/busybox "$root/bin/${applet##*/}"
  done < <("$program" --list)
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >"$root/etc/group"
  printf "PS1='\\\\u@\\\\h:\\\\w\\\\\$ '\\nalias ll='ls -l'\\n" >"$root/root/.shrc"
  local -x SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(stat -c %Y "$program")}
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    -C "$root" -cf "$work/busybox.tar" .
  "$berth" image import --rootfs --name busybox --cmd sh --env ENV=/root/.shrc "$work/busybox.tar"
}

# The host's busybox where it is a static one, else the package's, beside the host's.
static_busybox() {
  local program
  program=$(command -v busybox)
  if ldd "$program" 2>/dev/null | grep -q '=>'; then
    (cd "$work" && apt-get download -qq busybox-static >/dev/null && dpkg-deb -x busybox-static_*.deb pkg)
    program=$(find "$work/pkg" -name busybox -type f | head -n 1)
  fi
  echo "$program"
}

tag_of() { if [[ $1 == debian ]]; then echo "debian:$suite"; else echo "$1"; fi; }

missing=()
for image in $wanted; do have "$image" || missing+=("$image"); done
((${#missing[@]})) || exit 0

[[ $EUID == 0 ]] || die "needs root: layers hold files of every owner"
[[ -x $berth ]] || die "$berth is missing: run make build"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

online=no
registry_answers && online=yes
for image in "${missing[@]}"; do
  if [[ $image == debian ]] && command -v apt-get >/dev/null && make_debian; then continue; fi
  if [[ $online == yes ]] && pull "$image" "$(tag_of "$image")"; then continue; fi
  [[ $online == no ]] || say "$image: the pull failed"
  case $image in
    debian) die "debian: it could be neither made nor pulled" ;;
    busybox) make_busybox ;;
    *) die "$image: no registry answers, and only debian and busybox can be made without one" ;;
  esac
done
