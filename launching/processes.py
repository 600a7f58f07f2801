"""Runs Python scripts as child processes that find the heavy packages loaded already.

Loading torch and its compiler takes seconds, which a figure of many short runs would pay for each
of them. Here a server, this file as a process of its own, loads them once and forks every child
from that state. A child computes what the same command line computes in a shell. Where there is no
server (elsewhere than on Linux, or it has died) a script is started afresh. Imports no torch.
"""

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PRELOAD = ("torch", "torch._dynamo", "pandas")  # torch's optimizers load its compiler, too
FORKS = sys.platform == "linux"
LOST = 256  # for the exit code of a child that outlived the server; no process has this one
LOOK = 0.05  # seconds between the server's looks at its children
MESSAGE = 1 << 20  # bytes, at most


class Server:
    """The process that forks, seen from its caller."""

    def __init__(self):
        self._ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)  # keeps messages apart
        # -P: no file of the working directory is ever imported. Of a session of its own: no signal
        # to the caller's group, such as Ctrl-C, ends it before its children.
        command = [sys.executable, "-P", __file__, str(theirs.fileno()), *PRELOAD]
        with theirs:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                start_new_session=True,
            )  # fmt: skip
        atexit.register(process.kill)
        self.ready = self.dead = False
        self.codes: dict[int, int | None] = {}  # exit codes by process id, None: not ended

    def listen(self, wait: float = 0.0) -> int | None:
        """Takes in what it says, for at most `wait` seconds (None: any) until there is something.

        Returns:
            The process id of the child that it says to have forked, if it does.
        """
        forked = None
        while not self.dead and select.select([self._ours], [], [], wait)[0]:
            wait = 0.0
            try:
                words = self._ours.recv(MESSAGE).split()
            except OSError:  # died with our words unread
                words = []
            match list(map(int, words)):
                case []:
                    self.dead = True
                case [0]:
                    self.ready = True
                case [pid]:
                    self.codes[pid], forked = None, pid
                case [pid, code]:
                    self.codes[pid] = code
        return forked

    def fork(self, words: list[str], log: Path) -> int | None:
        """The process id of a child that runs these words; None: the server is dead."""
        pid = None
        with suppress(OSError):
            self._ours.send(json.dumps([words, str(log)]).encode())
            while pid is None and not self.dead:
                pid = self.listen(None)
        return pid


class Forked:
    """A child of the server, with the methods of subprocess.Popen that are used here."""

    def __init__(self, server: Server, pid: int):
        self.server, self.pid = server, pid

    def poll(self) -> int | None:
        """Its exit code, minus the signal that ended it, or None while it runs."""
        self.server.listen()
        code = self.server.codes[self.pid]
        return LOST if code is None and self.server.dead and self._has_gone() else code

    def _has_gone(self) -> bool:
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] == "Z"  # nobody asks for its exit code

    def _send(self, number: int):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self):
        """Asks it to stop; may be said again."""
        self._send(signal.SIGTERM)

    def kill(self):
        self._send(signal.SIGKILL)


_server: Server | None = None


def ready() -> bool:
    """Whether a script would start at once; until then the server, started here, loads."""
    global _server
    if not FORKS:
        return True
    _server = _server or Server()
    _server.listen()
    return _server.ready or _server.dead


def start(command: Sequence[str], log: Path) -> Forked | subprocess.Popen:
    """Starts a script in a process of its own, which leads a session of its own.

    Args:
        command: [python, script, argument, ...]; the Python is always that of the caller.
        log: file to which its output is appended.

    Raises:
        OSError: it cannot be started.
    """
    words = list(command[1:])
    while not ready():
        _server.listen(None)
    pid = _server.fork(words, log) if FORKS else None
    if pid is not None:
        return Forked(_server, pid)
    with open(log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-u", *words], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


# ---------------------------------------------------------------------------------- in the server


def _serve(control: socket.socket) -> list | None:
    """Forks for each request until the caller has gone; in a child returns what to run."""
    control.send(b"0")
    children = 0
    while True:
        if select.select([control], [], [], LOOK)[0]:
            request = control.recv(MESSAGE)
            if not request:
                return None
            with warnings.catch_warnings():  # of forking beside the idle threads of NumPy's BLAS
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                return json.loads(request)
            children += 1
            control.send(b"%d" % pid)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            children -= 1
            control.send(b"%d %d" % (pid, os.waitstatus_to_exitcode(status)))


def _run(words: list[str], log: str):
    """In a child: the script as `python script argument ...` runs it, its output in the log."""
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
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")


def _main(descriptor: str, *packages: str):
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # Slurm's, to every process of a task: before
        signal.signal(number, signal.SIG_IGN)  # train.py takes them, they must not end its child
    for name in packages:
        with suppress(Exception):  # a child that needs it says why in its log
            importlib.import_module(name)
    request = None
    with suppress(OSError), socket.socket(fileno=int(descriptor)) as control:
        request = _serve(control)
    if request:
        _run(*request)


if __name__ == "__main__":
    _main(*sys.argv[1:])
