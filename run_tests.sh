#!/usr/bin/env bash
# Lint and tests, a process a core; the arguments go to pytest:
#
#   ./run_tests.sh
#   ./run_tests.sh -q tests/test_launch.py -k busy
[ -n "${BASH_VERSION:-}" ] || { echo "this needs bash: use ./run_tests.sh or bash run_tests.sh" >&2; exit 2; }
set +o posix -euo pipefail # posix: where sh is bash
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
# shellcheck source=setup_environment.sh
source "$here/setup_environment.sh"
cd "$here"
unset PYTHONSAFEPATH # tests start Python in this folder

environment_is_ready requirements-test.txt || make_environment requirements-test.txt
[ $# -gt 0 ] || set -- -q

lint=0
"$PYTHON" -P -m ruff check . || lint=1
"$PYTHON" -P -m ruff format --check . || lint=1
[ $lint = 0 ] || echo "lint failed, see above; the tests run all the same" >&2
"$PYTHON" -P -m pytest -n auto --maxprocesses 8 "$@"
exit $lint
