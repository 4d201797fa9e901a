#!/bin/sh
# Makes .venv with the project and what its tests need, unless it is there already and up to date.
# Installs python3-venv by apt where it is missing and we are root; says the mend where we are not.
set -eu
cd "$(dirname "$0")/.."

fail() { printf '%s\n' "$1" >&2; exit 1; }

stamp=.venv/.installed
if [ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt constraints.txt ]; then
    exit 0
fi

# The system's own first: distributions build theirs with profile-guided optimisation. One that was compiled by
# hand without it needs half as much CPU again for the same calls. It may lack its venv module; then the next.
pythons=""
for candidate in "${PYTHON:-}" /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        pythons="$pythons $candidate"
    fi
done
[ -n "$pythons" ] || fail "Python 3.11 or later is needed, and none is on the PATH. Mend: apt-get install python3"

make_venv() {
    for python in $pythons; do
        rm -rf .venv
        if "$python" -m venv .venv >/dev/null 2>&1; then return 0; fi
    done
    rm -rf .venv
    return 1
}

if [ ! -x .venv/bin/pip ]; then
    printf 'Making the virtual environment ...\n' >&2
    if ! make_venv; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
            fail "Python's venv module is missing. Mend, as root: apt-get install python3-venv"
        printf 'Installing python3-venv ...\n' >&2
        apt-get update -qq >/dev/null && apt-get install -y -qq python3-venv >/dev/null ||
            fail "apt-get install python3-venv failed. Install it by hand, then try again."
        make_venv || fail "Python's venv module does not work; see what it says: python3 -m venv .venv"
    fi
fi
printf 'Installing the package and what its tests need ...\n' >&2
.venv/bin/pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]' ||
    fail "pip could not install the package; what it said is above."
touch "$stamp"
