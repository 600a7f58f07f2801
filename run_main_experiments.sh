#!/usr/bin/env bash
# Computes the runs of the paper's figures and draws them:
#
#   ./run_main_experiments.sh --figures 1,2 --device cuda:0
#   ./run_main_experiments.sh --figures 1 --quick --device cpu
#   ./run_main_experiments.sh --figures related --size cpu
#   ./run_main_experiments.sh --list        (--help shows every flag)
#
# The first start makes .venv; an environment that is active and complete is used as it is.
set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
# shellcheck source=setup_environment.sh
source "$here/setup_environment.sh"

if ! environment_is_ready requirements.txt; then
    find_base_python
    case " $* " in
    *" --list "* | *" --help "* | *" -h "*) # need no package
        exec "$BASE_PYTHON" "$here/launch.py" "$@"
        ;;
    esac
    # A mistyped flag is answered now, not after minutes of installing.
    "$BASE_PYTHON" "$here/launch.py" "$@" --list >/dev/null
    make_environment requirements.txt
fi
exec "$PYTHON" "$here/launch.py" "$@"
