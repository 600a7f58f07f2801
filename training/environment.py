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
    """What computed the run: commit, versions, device, threads, command line, start time."""
    import numpy
    import torch

    def git(*words):
        """The answer; None without git or outside a repository, which is left as it is."""
        command = ["git", "--no-optional-locks", "-C", str(HERE), *words]
        try:
            result = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    on_gpu = arguments.device != "cpu"
    own = definitions(config)
    words = [w.replace(str(HERE) + os.sep, "") for w in sys.argv]
    return {
        "command": " ".join(["python", *words]),
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain", "--untracked-files=no")),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": torch.cuda.get_device_name(arguments.device) if on_gpu else processor(),
        "device_flag": arguments.device,
        "threads": arguments.threads,
        "compile": arguments.compile,
        "graphed": arguments.graphed,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.platform(),
        **({"definitions": own} if own else {}),
    }


def processor() -> str:
    """Name of the CPU, and what its vector units offer torch."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
