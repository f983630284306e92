#!/usr/bin/env bash
# Installs what SoulBox needs from the distribution: Debian 12, Debian 13, Ubuntu 24.04.
#
#   setup.sh            installs whatever is missing (root, or sudo)
#   setup.sh --check    only says what is missing; exits with 1 if something is
#
# What is there already is never touched, so a second run makes no call to apt and ends at once.
# No package host is named here: packages come from wherever this machine's apt gets its own.
set -euo pipefail

# gVisor before this release cannot checkpoint a live kernel, and Debian 12's `ls` fails in it.
readonly RUNSC_OLDEST=20240101
# The Rust release that the workspace asks for is said once, in its manifest.
RUST_OLDEST=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../../Cargo.toml")
readonly RUST_OLDEST
# The E2B JavaScript SDK refuses older ones. Only the stories in tests/ need node on the host.
readonly NODE_OLDEST=20

check_only=no
case "${1:-}" in
  '') ;;
  --check) check_only=yes ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

# A desktop shell often leaves these out of an ordinary user's PATH; mkfs.ext4 and losetup live there.
PATH="$PATH:/usr/sbin:/sbin"
started=$SECONDS
say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

. /etc/os-release
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

# --- what is missing -------------------------------------------------------------------------

# True when version $1 is not older than $2.
not_older() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

runsc_date() { runsc --version 2>/dev/null | grep -oE '20[0-9]{6}' | head -n 1; }

runsc_is_new_enough() {
  has runsc || return 1
  local date; date=$(runsc_date)
  # A runsc that was built by hand may carry no date: whoever put it into PATH meant it.
  [ -z "$date" ] || [ "$date" -ge "$RUNSC_OLDEST" ]
}

# A C library's start files are what a static Rust binary is linked with.
has_libc_files() { has gcc && [ -e "$(gcc -print-file-name=crt1.o)" ] && [ -e "$(gcc -print-file-name=libc.a)" ]; }
has_venv() { has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }
node_is_new_enough() { has node && not_older "$(node --version | tr -d v)" "$NODE_OLDEST"; }
rust_is_new_enough() { has cargo && has rustc && not_older "$(rustc --version 2>/dev/null | cut -d' ' -f2)" "$RUST_OLDEST"; }

missing=()
want() { # want PACKAGES COMMAND... : the packages are missing when the command fails
  local packages=$1; shift
  # shellcheck disable=SC2206 # several packages in one word are several packages
  "$@" || missing+=($packages)
}
find_missing() {
  missing=()
  want runsc runsc_is_new_enough
  want mmdebstrap has mmdebstrap
  # mmdebstrap checks Debian's signatures with these, also on Ubuntu.
  want debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
  want ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
  want e2fsprogs has mkfs.ext4
  want mount has losetup
  want "gcc libc6-dev" has_libc_files
  want make has make
  want git has git
  want curl has curl
  want "python3 python3-venv" has_venv
  want "nodejs npm" has node
  has node && want npm has npm
  # Debian 13 and Ubuntu 24.04 have rustup; a compiler of their own would be too old.
  if ! rust_is_new_enough && ! has rustup && ! has cargo && has apt-cache && apt-cache show rustup >/dev/null 2>&1; then
    missing+=(rustup)
  fi
  return 0
}

# --- installing ------------------------------------------------------------------------------

# Where this machine's apt gets the release itself from: its backports lie beside it.
own_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $VERSION_CODENAME" | head -n 1
}

# Debian 12's own runsc is of 2022; a current one is in its backports.
add_backports() {
  apt-cache policy | grep -q "n=bookworm-backports" && return 0
  local mirror; mirror=$(own_mirror)
  [ -n "$mirror" ] || fail "cannot tell which mirror this machine uses for bookworm; add bookworm-backports to apt's sources and run this again"
  say "adding bookworm-backports to apt's sources (gVisor of 2024 is there)"
  printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "${mirror%/}" |
    "${as_root[@]}" tee /etc/apt/sources.list.d/soulbox-backports.sources >/dev/null
  apt_update
}

# A third party's source that does not answer must not stop us: what counts is whether the packages can be had.
apt_update() { "${as_root[@]}" apt-get -q -o Acquire::Retries=3 update >"$log" 2>&1 || say "apt-get update had complaints; going on"; }

# Shows one line per package, since apt's own output is either a wall of text or nothing.
install() {
  local total
  total=$("${as_root[@]}" apt-get install -s --no-install-recommends "$@" 2>/dev/null | grep -c '^Inst ' || true)
  say "installing $total packages: ${*: -1} and what it needs, for: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@" 2>&1 | tee -a "$log" |
    awk -v total="$total" '/^Get:/ { got++; printf "setup:   [%d/%d] fetched %s\n", got, total, $5; fflush() }
                           /^Setting up/ { set++; printf "setup:   [%d/%d] installed %s\n", set, total, $3; fflush() }' ||
    { tail -n 15 "$log" >&2; fail "apt-get install failed; its whole output is in $log"; }
}

find_missing
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$check_only" = yes ]; then
    say "missing: ${missing[*]}"
  else
    has apt-get || fail "missing: ${missing[*]}; this script installs them on Debian and Ubuntu only"
    [ ${#as_root[@]} = 0 ] || has sudo || fail "run this as root: missing ${missing[*]}"
    log=$(mktemp -t soulbox-setup.XXXXXX.log)
    say "missing: ${missing[*]}"
    say "asking the package mirrors for their lists"
    apt_update
    # Only now can apt say whether it has rustup.
    find_missing
    if [ "$VERSION_CODENAME" = bookworm ] && [[ " ${missing[*]} " == *" runsc "* ]]; then
      add_backports
      # Only runsc comes from backports: a whole machine moved to them is not what anybody asked for.
      for i in "${!missing[@]}"; do [ "${missing[$i]}" = runsc ] && missing[i]=runsc/bookworm-backports; done
    fi
    install "${missing[@]}"
    find_missing
    [ ${#missing[@]} = 0 ] || fail "still missing after the installation: ${missing[*]} (see $log)"
  fi
fi

# --- what a package manager of the distribution cannot give ------------------------------------

verdict=0
[ ${#missing[@]} = 0 ] || verdict=1
if ! rust_is_new_enough && has rustup && [ "$check_only" = no ]; then
  # Toolchains belong to a user: the one who will build, not the root that sudo made of them.
  as_builder=()
  [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && as_builder=(sudo -H -u "$SUDO_USER" "PATH=$PATH")
  say "installing the stable Rust toolchain with rustup (about 250 MB)"
  "${as_builder[@]}" rustup toolchain install stable --profile minimal --component rustfmt,clippy 2>&1 | sed 's/^/setup:   /' || true
  "${as_builder[@]}" rustup default stable >/dev/null 2>&1 || true
fi
if ! rust_is_new_enough; then
  verdict=1
  say "missing: Rust $RUST_OLDEST or newer (found: $(rustc --version 2>/dev/null || echo none))"
  say "  with rustup: rustup toolchain install stable. Debian 13 and Ubuntu 24.04 have a package rustup; elsewhere use the Rust project's installer"
  if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ]; then
    say "  a toolchain of $SUDO_USER is not in root's PATH: run this with sudo env \"PATH=\$PATH\""
  fi
fi
if ! node_is_new_enough; then
  say "note: node $(node --version 2>/dev/null || echo is missing); the JavaScript stories of the tests need $NODE_OLDEST or newer (everything else works without)"
fi
[ "$verdict" = 0 ] && say "all there: runsc $(runsc_date), mmdebstrap, e2fsprogs, python3 $(python3 -c 'import platform; print(platform.python_version())'), node $(node --version), $(rustc --version | cut -d' ' -f1,2) ($((SECONDS - started)) s)"
exit "$verdict"
