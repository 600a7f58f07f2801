"""A tiny run, whole and unfinished, and what a trainer makes of its folder after a fault."""

import contextlib
import ctypes
import io
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
import torch
import torch._dynamo  # which optimizers load: not while a test waits

import train
from configuration import interpreter, runs
from conftest import slow

FLAGS = (
    "--lr 0.01 --modulo 7 --hidden_sizes 8 --train_fraction 0.5 --num_epochs 16 --log_frequency 2"
)
SAVING = FLAGS + " --save_weights"
LONG, LONGER = (FLAGS.replace("--num_epochs 16", f"--num_epochs {n}") for n in (80, 1500))
KEPT = (runs.CONFIG, runs.METRICS, runs.WEIGHTS, runs.CHECKPOINT, runs.SUMMARY)
PATIENCE = 120.0  # seconds; longer means a failure


class Answer(NamedTuple):
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


# ---------------------------------------------------------------------------------- a run


def call(folder, *more, flags=FLAGS) -> Answer:
    """train.main in this process, with streams as a process has them."""
    return answer(train.main, [*flags.split(), "--run_dir", str(folder), *more])


def answer(main, words, **options) -> Answer:
    """A main function of ours in this process; whatever it raises fails the test."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "replace", write_through=True)
               for _ in range(2)]  # fmt: skip
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it goes on and on"))
    signal.alarm(int(PATIENCE))
    fsync = unneeded if os.fsync is FSYNC else os.fsync
    with (
        mock.patch.object(os, "fsync", fsync),
        mock.patch.dict(os.environ, {"PATH": ""}),  # no time for git
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            code = main(words, **options)
        except SystemExit as stop:
            code = stop.code
        finally:
            signal.alarm(0)
    return Answer(code, *(s.buffer.getvalue().decode(errors="replace") for s in streams))


FSYNC = os.fsync


def unneeded(handle):
    """In the place of os.fsync, which takes time: what a process has written outlives it anyway."""


def files(folder) -> dict[str, bytes]:
    """What a start may rely on; lock and env.json are written anew by every one."""
    return {name: (Path(folder) / name).read_bytes() for name in KEPT
            if (Path(folder) / name).is_file()}  # fmt: skip


def put(found: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return folder


@cache
def whole(flags=FLAGS) -> dict[str, bytes]:
    """The files of a run that nothing interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        assert call(folder, flags=flags).code == 0
        return files(folder)


@cache
def unfinished(flags=FLAGS, step=11) -> dict[str, bytes]:
    """As a kill leaves it: a checkpoint of this odd step, two rows that are younger, half a row."""
    config, _ = train.resolve(train.make_parser().parse_args(flags.split()))
    steps = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        with runs.RunFolder(folder, config) as entered, contextlib.suppress(train.Stopped):
            train.train(config, entered, stop_asked=lambda: next(steps) == step)
        found = files(folder)
    rows = whole(flags)[runs.METRICS].splitlines(keepends=True)
    known = step // 2 + 2  # lines: the header, and a row for every even step
    assert found[runs.METRICS] == b"".join(rows[:known])
    found[runs.METRICS] = b"".join(rows[: known + 2]) + rows[known + 2][:20]
    if runs.WEIGHTS in found:
        width = (len(found[runs.WEIGHTS]) - runs.WEIGHTS_HEADER.size) // (known - 1)
        more = len(found[runs.WEIGHTS]) + 2 * width + width // 2
        found[runs.WEIGHTS] = whole(flags)[runs.WEIGHTS][:more]
    return found


# ---------------------------------------------------------------------------------- what is right


def assert_same(folder, flags=FLAGS):
    """The bytes of a run that nothing interrupted, and its summary but for the seconds."""
    for name in (runs.METRICS, runs.WEIGHTS):
        assert files(folder).get(name) == whole(flags).get(name), name
    assert runs.is_complete(folder)
    assert timeless(files(folder)) == timeless(whole(flags))


def timeless(found: dict[str, bytes]) -> dict:
    """The summary without its seconds, and without its own digest, which depends on them."""
    summary = json.loads(found[runs.SUMMARY])
    return summary | {"seconds": 0, "sha256": summary["sha256"] | {runs.SUMMARY: 0}}


def assert_one_line(given: Answer, *words, code=2):
    assert given.code == code, given
    assert given.err.count("\n") == 1 and "Traceback" not in given.err, given
    for word in words:
        assert word in given.err, given


def told_to_delete(given: Answer, folder: Path) -> Path:
    """What the one line of a refusal says to delete."""
    assert_one_line(given, "delete")
    if "its folder" in given.err or f"{folder} holds another configuration" in given.err:
        return folder
    assert f"delete {runs.CHECKPOINT}" in given.err or f"{runs.CHECKPOINT} is " in given.err, given
    return folder / runs.CHECKPOINT


def settles(folder: Path, flags=FLAGS, said=None):
    """Starts it, does what a refusal says, starts it again: the same bytes.

    said: words of the refusal; "": it must go on at once; None: either.
    """
    before = files(folder)
    given = call(folder, flags=flags)
    if said or (given.code and said is None):
        delete = told_to_delete(given, folder)
        assert (said or "") in given.err, given
        for name, content in before.items():  # younger rows may be gone, nothing else
            rows = name in (runs.METRICS, runs.WEIGHTS)
            now = files(folder)[name]
            assert content.startswith(now) if rows else content == now, name
        shutil.rmtree(folder) if delete == folder else delete.unlink()
        given = call(folder, flags=flags)
    assert given.code == 0 and given.err == "", given
    assert_same(folder, flags)


# ---------------------------------------------------------------------------------- a process


class Child:
    """A child that runs `action` and ends with the code that it returns, as a script would.

    Forked, so that nothing waits for an import of torch. `before` runs in it first.
    """

    def __init__(self, action: Callable, before=lambda: None):
        pipes = [os.pipe() for _ in range(2)]
        self.pid = os.fork()
        if self.pid == 0:
            self._run(action, before, [writer for _, writer in pipes])
        for _, writer in pipes:
            os.close(writer)
        self.pipes = [open(reader, "rb") for reader, _ in pipes]  # noqa: SIM115 - read at the end

    @staticmethod
    def _run(action, before, writers):
        code = 1
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never left behind
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for number, writer in enumerate(writers, 1):
                os.dup2(writer, number)
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - until it ends
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            os.fsync = unneeded
            before()
            interpreter.begin()
            try:
                code = action()
            except SystemExit as stop:
                code = stop.code
            for stream in filter(None, (sys.stdout, sys.stderr)):
                try:
                    stream.flush()
                except OSError:
                    code = 120  # as the interpreter ends then
        except BaseException:
            os.write(writers[1], traceback.format_exc().encode())
        finally:
            os._exit(code)

    def strike(self, number: int):
        os.kill(self.pid, number)

    def has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> Answer:
        said = [pipe.read().decode(errors="replace") for pipe in self.pipes]
        for pipe in self.pipes:
            pipe.close()
        return Answer(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), *said)


def trainer(folder, *more, flags=FLAGS, before=lambda: None) -> Child:
    """train.main in a child."""
    words = [*flags.split(), "--run_dir", str(folder), *more]
    return Child(lambda: train.main(words), before)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def size(path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def state_of(pid) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def limit_files(most: int, kill=False):
    """No file grows beyond `most` bytes: an error, or death in the midst of that write."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def full_or_done(given: Answer, *words):
    """The run is complete, or one line says why it could not go on."""
    if given.code != 0:
        assert_one_line(given, *words)


# What a program does to files, as it is announced before it happens (sys.addaudithook).
OPERATIONS = (
    "open",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.chmod",
    "os.truncate",
    "fcntl.flock",
)


def kill_at(operation: int, below: Path):
    """Kills this process before its n-th operation on a file of that folder, counted from 0."""
    count = itertools.count()

    def hook(event, arguments):
        if event not in OPERATIONS or not arguments:
            return
        path = arguments[0]
        ours = event == "fcntl.flock" or str(path).startswith(str(below))
        if ours and next(count) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def nobody():
    """Makes this process, which is root's, that of another user."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def reachable(folder: Path) -> Path:
    """Lets every user into a folder of ours."""
    for parent in [folder, *folder.parents]:
        if parent.owner() == folder.owner() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return folder


def spoil(faults: list[tuple[str, int]]):
    """Has the streams of these numbers lead to a full disk, to nobody, or nowhere (`>&-`)."""
    for fault, number in faults:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer if fault == "broken" else os.open("/dev/full", os.O_WRONLY), number)
        if fault == "closed":
            os.close(number)
            setattr(sys, ("stdout", "stderr")[number - 1], None)  # as Python finds it


class Disk:
    """A file system in memory, of few pages or inodes; skips where this user may not mount one."""

    def __init__(self, folder: Path, options: str):
        self.folder = folder / "disk"
        self.folder.mkdir()
        if self._mount("-t", "tmpfs", "-o", options, "tmpfs").returncode:
            pytest.skip("this user may mount no file system")

    def _mount(self, *words):
        return subprocess.run(["mount", *words, self.folder], capture_output=True)

    def remount(self, options):
        assert self._mount("-o", f"remount,{options}").returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=True)


def some(values, every: int) -> list:
    """The values; all but every n-th one in the slow suite only."""

    def later(value):
        return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=slow)

    return [later(value) if i % every else value for i, value in enumerate(values)]


def flipped(content: bytes, where: int, draw: random.Random) -> bytes:
    """One byte changed."""
    return content[:where] + bytes([content[where] ^ draw.randrange(1, 256)]) + content[where + 1 :]


def saved(state) -> bytes:
    """As torch alone writes it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
