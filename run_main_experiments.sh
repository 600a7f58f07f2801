#!/usr/bin/env bash
# Computes the runs of the paper's figures, or of a sweep, and draws them:
#
#   ./run_main_experiments.sh --figures 1,2 --device cuda:0
#   ./run_main_experiments.sh --figures 1 --quick --device cpu
#   ./run_main_experiments.sh --figures related --size cpu
#   ./run_main_experiments.sh --run add_adamw_wd1 --vary weight_decay=0.5,1,2 --seeds 42,43
#   ./run_main_experiments.sh --list        (--help shows every flag)
#
# The first start makes .venv; an environment that is active and complete is used as it is.
[ -n "${BASH_VERSION:-}" ] || { echo "this needs bash: use ./run_main_experiments.sh or bash run_main_experiments.sh" >&2; exit 2; }
set +o posix -euo pipefail # posix: where sh is bash
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
# shellcheck source=setup_environment.sh
source "$here/setup_environment.sh"

if ! environment_is_ready requirements.txt; then
    find_base_python
    case " $* " in
    *" --list "* | *" --dry-run "* | *" --help "* | *" -h "*) # need no package
        exec "$BASE_PYTHON" "$here/launch.py" "$@"
        ;;
    esac
    # A mistyped flag is answered now, not after minutes of installing.
    "$BASE_PYTHON" "$here/launch.py" "$@" --list >/dev/null
    make_environment requirements.txt
fi
exec "$PYTHON" "$here/launch.py" "$@"
