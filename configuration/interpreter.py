"""What a script needs of the Python that runs it. Imported first, and read by old ones, too."""

import importlib.util
import os
import sys

OLDEST = (3, 11)
REMEDY = "use .venv/bin/python, which ./run_main_experiments.sh makes"


def require(*packages):
    """Ends the script with one line and exit code 2 where this Python is too old or lacks one."""
    version = ".".join(map(str, sys.version_info[:3]))
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    if sys.version_info < OLDEST:
        reason = "Python 3.11 or later is needed, this is " + version
    elif lacking:
        reason = lacking[0] + " is not installed in this Python"
    else:
        return
    print(os.path.basename(sys.argv[0]) + ": " + reason + "; " + REMEDY, file=sys.stderr)
    sys.exit(2)
