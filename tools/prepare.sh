# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by tools/demo and tools/test: installs what is missing, builds. Costs nothing when there is
# nothing to do.

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

say() { printf '%s\n' "$*" >&2; }
stop() { say "$(basename "$0"): $*"; exit 1; }

install_missing() {
	command -v dpkg-query >/dev/null || stop "this is not Debian: install by hand what tools/packages lists"
	missing=""
	for package in $(grep -v '^#' tools/packages); do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	say "installing:$missing"
	as_root=""
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || stop "need root or sudo to install:$missing"
		as_root=sudo
	fi
	$as_root apt-get update -q >/dev/null || stop "apt-get update failed"
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing \
		>/tmp/perrin-install.$$ 2>&1 ||
		{ cat /tmp/perrin-install.$$ >&2; rm -f /tmp/perrin-install.$$; stop "apt-get could not install:$missing"; }
	rm -f /tmp/perrin-install.$$
}

build() {
	[ -f build/build.ninja ] || cmake --preset release >&2 || stop "configuring failed"
	cmake --build build --target "${1:-all}" >&2 || stop "building failed"
}
