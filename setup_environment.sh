# shellcheck shell=bash
# Sourced by run_main_experiments.sh and run_tests.sh: finds or makes the Python environment.
#
#   environment_is_ready FILE   sets PYTHON to a Python that has all of FILE; false if there is none
#   make_environment FILE       makes or repairs .venv, installs FILE into it, sets PYTHON
#
# FILE is requirements.txt or requirements-test.txt. An active, complete environment is used as it
# is. Otherwise .venv is, and a stamp in it, written last, says that it is complete: a stamp that is
# missing or differs (interrupted installation, other pins, folder moved, Python replaced) means work.
#
# -P and -I keep the working directory, and -I PYTHONPATH, too, out of what Python imports: no
# email.py or pip.py of the user's is ever run.

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
VENV=$ROOT/.venv

[ -e /dev/fd/2 ] || exec 2>/dev/null # closed

say() {
    printf '%s\n' "$*" >&2 || true # a full disk
}

die() {
    say "$@"
    exit 1
}

# What a complete .venv looks like: where it is, which Python it has, which pins.
describe_venv() {
    printf '%s\n' "$VENV" "$(readlink -f "$VENV/bin/python" 2>/dev/null)"
    cat "$ROOT/requirements.txt"
    [ "$1" = requirements.txt ] || cat "$ROOT/$1"
}

venv_is_ready() {
    [ -x "$VENV/bin/python" ] && describe_venv "$1" | cmp -s - "$VENV/$1.complete"
}

# Whether the Python $1 is at least 3.11 and has exactly the versions that the file $2 pins.
has_requirements() {
    "$1" -P - "$ROOT/$2" 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def complete(path):
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["-r"]:
            if not complete(path.parent / words[1]):
                return False
        elif words:
            name, pin = words[0].split("==")
            try:
                if version(name).split("+")[0] != pin:  # 2.13.0+cpu is a build of 2.13.0
                    return False
            except PackageNotFoundError:
                return False
    return True


sys.exit(sys.version_info < (3, 11) or not complete(Path(sys.argv[1])))
PYTHON
}

# The first Python that is new enough. Needs no package.
find_base_python() {
    local candidate path
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        path=$(command -v "$candidate") || continue
        if "$path" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            BASE_PYTHON=$path
            return
        fi
    done
    if path=$(command -v python3); then
        die "$path is $("$path" --version 2>&1), too old; install Python 3.11 or later"
    fi
    die "python3 is not installed; install Python 3.11 or later"
}

environment_is_ready() {
    local active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
    if [ -n "$active" ] && [ ! "$active" -ef "$VENV" ] && has_requirements "$active/bin/python" "$1"; then
        PYTHON=$active/bin/python
    elif venv_is_ready "$1"; then
        PYTHON=$VENV/bin/python
    elif PYTHON=$(command -v python3) && [ ! "$(dirname -- "$PYTHON")" -ef "$VENV/bin" ] &&
        has_requirements "$PYTHON" "$1"; then
        :
    else
        return 1
    fi
}

make_environment() {
    # Two first starts at once: the second waits here and finds the work done. The lock is on a file
    # that exists already (opened for appending, as NFS wants it; nothing is written). macOS has no
    # flock: there, wait for the first start yourself.
    local path
    for path in "$ROOT" "$ROOT/requirements.txt" "$VENV"; do
        if [ -e "$path" ] && [ ! -w "$path" ]; then # else the shell would say it, too
            say "cannot write to $path; clone the bundle where you can"
            exit 2
        fi
    done
    exec 9>>"$ROOT/requirements.txt"
    if command -v flock >/dev/null && ! flock -n 9; then
        say "another start is setting up $VENV; waiting for it"
        flock 9
    fi
    if ! venv_is_ready "$1"; then
        install_into_venv "$1"
    fi
    exec 9>&-
    PYTHON=$VENV/bin/python
}

install_into_venv() {
    find_base_python
    say "installing $1 into $VENV (once; torch is large, this takes minutes)"
    trap 'exit 130' INT # once pip has stopped
    # An installation that was interrupted or has moved is not repaired but made again.
    if [ -e "$VENV/installing" ] || ! "$VENV/bin/python" -I -m pip --version >/dev/null 2>&1 ||
        { [ -e "$VENV/requirements.txt.complete" ] && ! venv_is_here; }; then
        "$BASE_PYTHON" -I -m venv --clear "$VENV" >&2 ||
            die "$BASE_PYTHON -m venv failed (on Debian and Ubuntu: apt install python3-venv)"
    fi
    rm -f "$VENV"/*.complete
    touch "$VENV/installing"
    local quiet=-q
    [ ! -t 2 ] || quiet=--progress-bar=on # on a terminal, pip shows what it is doing
    "$VENV/bin/python" -I -m pip install --disable-pip-version-check $quiet -r "$ROOT/$1" >&2 ||
        die "pip could not install $1 (see above); start again when the cause is gone"
    # The second file contains the first.
    describe_venv requirements.txt >"$VENV/requirements.txt.complete"
    [ "$1" = requirements.txt ] || describe_venv "$1" >"$VENV/$1.complete"
    rm "$VENV/installing"
}

# Whether the stamped .venv is where it was made and has the Python it was made with.
venv_is_here() {
    describe_venv requirements.txt | head -n 2 | cmp -s - <(head -n 2 "$VENV/requirements.txt.complete")
}
