"""What computed a run, for its env.json: code, machine, versions."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from configuration.choices import definitions

HERE = Path(__file__).resolve().parent.parent


def environment(arguments, config) -> dict:
    """What computed the run: commit, versions, device, threads, command line, start time.

    Asked for once the device is prepared.
    """
    import numpy
    import torch

    from training import devices

    def git(*words):
        """The answer; None without git or outside a repository, which is left as it is."""
        command = ["git", "--no-optional-locks", "-C", str(HERE), *words]
        try:
            result = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    own = definitions(config)
    words = [w.replace(str(HERE) + os.sep, "") for w in sys.argv]
    return {
        "command": " ".join(["python", *words]),
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain", "--untracked-files=no")),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": devices.identity(arguments.device)["name"],
        "device_flag": arguments.device,
        "threads": arguments.threads,
        "compile": arguments.compile,
        "graphed": bool(arguments.graphed),
        "float32": devices.float32_settings(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.platform(),
        **({"definitions": own} if own else {}),
    }
