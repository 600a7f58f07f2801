"""Runs Python scripts as child processes that find the heavy packages loaded already.

Loading torch and its compiler takes seconds, which a figure of many short runs would pay for each
of them. Here a server process loads them once and forks every child from that state
(multiprocessing's "forkserver"; elsewhere than on Linux each child is started afresh). A child
computes what the same command line computes in a shell. Imports no torch.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PRELOAD = ("torch", "torch._dynamo", "pandas")  # torch's optimizers load its compiler, too


class Script:
    """One script in a process of its own, which leads a session of its own.

    Args:
        command: [python, script, argument, ...]; the Python is always that of the caller.
        log: file to which its output is appended.

    Attributes:
        pid: its process id.
    """

    def __init__(self, command: Sequence[str], log: Path):
        self._process = _context().Process(target=_run, args=(list(command[1:]), str(log)))
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, minus the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def terminate(self):
        """Asks it to stop; may be said again."""
        self._process.terminate()

    def kill(self):
        self._process.kill()


def _context():
    """Where processes come from; on Linux the server runs afterwards."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    # What is ignored now the server ignores all its life: it outlives a signal that is sent to the
    # whole group of its caller. Without it the exit codes of its children would be lost.
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(n, signal.SIG_IGN) for n in numbers]
    try:
        multiprocessing.forkserver.ensure_running()  # starts it and does not wait for its imports
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    return context


def _run(words: list[str], log: str):
    """In the child: the script as `python script argument ...` runs it, its output in the log."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()  # Ctrl-C is for the caller, which passes it on
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, number)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - the child's own
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)
    runpy.run_path(words[0], run_name="__main__")
