# shellcheck shell=bash
# What scripts/setup, scripts/demo and scripts/test share. Sourced, not run: it changes to the top of
# the repository and defines functions, nothing else.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The interpreter of the distribution: the one that python3-pytest is installed for. Another python3
# that stands before it in PATH (pyenv, conda) knows nothing of apt's packages.
python3=/usr/bin/python3
[ -x "$python3" ] || python3=$(command -v python3 || echo python3)

say()
{
	printf '== %s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# Runs a command as root: directly, or by sudo (without a question where nobody can answer).
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

can_be_root()
{
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null
}

# Configures and builds a preset: build PRESET [TARGET...]. Shows cmake's own words only if it fails.
build()
{
	local preset=$1 log
	shift
	say "build: preset $preset"
	log=$(mktemp)
	cmake --preset "$preset" >"$log" 2>&1 </dev/null || { cat "$log" >&2; die "cmake failed"; }
	rm -f "$log"
	cmake --build --preset "$preset" ${1:+--target "$@"}
}
