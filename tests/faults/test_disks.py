"""No space, no inodes, no permission, limits and failing system calls: one line, then the same."""

import errno
import fcntl
import os
import random
import resource
import subprocess
import tempfile
from pathlib import Path

import pytest
from faulty import (
    FLAGS,
    SAVING,
    assert_one_line,
    assert_recovers,
    call,
    limit_files,
    put,
    settles,
    trainer,
    unfinished,
    whole,
)

from conftest import slow

OFTEN = ("--checkpoint_seconds", "0")


def full_or_done(given, *words):
    """The run is complete, or one line says why it could not go on."""
    if given.code != 0:
        assert_one_line(given, *words)


class Disk:
    """A file system in memory, of few pages or inodes; skips where this user may not mount one."""

    def __init__(self, folder: Path, options: str):
        folder.mkdir()
        self.folder = folder
        if self._mount("-t", "tmpfs", "-o", options, "tmpfs").returncode:
            pytest.skip("this user may mount no file system")

    def _mount(self, *words):
        return subprocess.run(["mount", *words, self.folder], capture_output=True)

    def remount(self, options):
        assert self._mount("-o", f"remount,{options}").returncode == 0

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    made = []

    def make(options) -> Disk:
        made.append(Disk(tmp_path / "disk", options))
        return made[0]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("start", [dict, unfinished], ids=["from nothing", "from a checkpoint"])
@pytest.mark.parametrize("pages", range(1, 18))
def test_run_on_a_full_disk_goes_on_when_there_is_space(pages, start, disk):
    full = disk("size=1m")
    folder = put(start(), full.folder / "run")
    used = os.statvfs(full.folder)
    used = (used.f_blocks - used.f_bfree) * used.f_bsize // 4096
    full.remount(f"size={4 * (used + pages - 1) or 4}k")
    full_or_done(call(folder, *OFTEN), "No space left on device")
    full.remount("size=1m")
    settles(folder)


@pytest.mark.parametrize("inodes", range(2, 11))
def test_run_without_inodes_goes_on_when_there_are_some(inodes, disk):
    full = disk(f"size=1m,nr_inodes={inodes}")
    full_or_done(call(full.folder / "run", *OFTEN), "No space left on device")
    full.remount("nr_inodes=100")
    settles(full.folder / "run")


def test_run_whose_disk_is_filled_meanwhile_goes_on_when_there_is_space(disk, monkeypatch):
    import train

    full = disk("size=200k")

    def fill():
        with open(full.folder / "other", "wb") as file, pytest.raises(OSError):
            while True:
                file.write(bytes(512))
                file.flush()

    def at_six(row, total):
        if row["step"] == 6:
            fill()

    monkeypatch.setattr(train, "printer", lambda: at_six)
    given = call(full.folder / "run", *OFTEN, flags=SAVING)
    assert_one_line(given, "No space left on device")
    monkeypatch.undo()
    (full.folder / "other").unlink()
    settles(full.folder / "run", SAVING)


@pytest.mark.parametrize("start", [dict, unfinished], ids=["nothing", "unfinished"])
def test_run_on_a_disk_that_may_only_be_read_is_one_line(start, disk):
    made = disk("size=1m")
    folder = put(start(), made.folder / "run")
    made.remount("ro")
    assert_one_line(call(folder), "Read-only file system", "--run_dir")
    made.remount("rw")
    settles(folder)


def test_complete_run_may_only_be_read(disk):
    made = disk("size=1m")
    folder = put(whole(), made.folder / "run")
    made.remount("ro")
    assert "is complete" in call(folder).out


# In config.json, in metrics.csv, in checkpoint.pt; with weights.bin.
@pytest.mark.parametrize("flags", [FLAGS, SAVING], ids=["rows", "weights"])
@pytest.mark.parametrize("most", [0, 1, 100, 500, 1000, 1500, 2000, 2400, 4000, 9000, 14000])
def test_run_under_a_limit_of_file_sizes_goes_on_without_it(most, flags, tmp_path):
    folder = put({}, tmp_path / "run")
    given = trainer(folder, *OFTEN, flags=flags, before=lambda: limit_files(most)).end()
    full_or_done(given, "File too large")
    settles(folder, flags)


@pytest.mark.parametrize("most", range(4, 17, 2))
def test_run_with_few_open_files_goes_on_with_more(most, tmp_path):
    def before():
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    full_or_done(trainer(tmp_path / "run", *OFTEN, before=before).end(), "Too many open files")
    settles(tmp_path / "run")


@pytest.mark.parametrize("more", [0, 1, 2, 4, 16])
def test_run_with_little_memory_goes_on_with_more(more, tmp_path):
    def before():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * 4096 + more * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    wide = FLAGS.replace("--hidden_sizes 8", "--hidden_sizes 3000")
    full_or_done(trainer(tmp_path / "run", flags=wide, before=before).end(), "memory")


# ---------------------------------------------------------------------------------- system calls

CALLS = {
    "fsync": (os, "fsync", errno.EIO),
    "fsync without space": (os, "fsync", errno.ENOSPC),
    "fsync over quota": (os, "fsync", errno.EDQUOT),
    "mkstemp": (tempfile, "mkstemp", errno.EIO),
    "mkstemp over quota": (tempfile, "mkstemp", errno.EDQUOT),
    "rename on a server that forgot": (os, "replace", errno.ESTALE),
    "rename of a busy file": (os, "replace", errno.EBUSY),
    "rename without permission": (os, "replace", errno.EPERM),
    "chmod": (os, "chmod", errno.EPERM),
    "lock": (fcntl, "flock", errno.ENOLCK),
    "lock on an old server": (fcntl, "flock", errno.ENOTSUP),
    "truncate": (os, "truncate", errno.EIO),
}


@pytest.mark.parametrize("nth", [0, 1, 2, 5])
@pytest.mark.parametrize("fault", CALLS)
def test_run_goes_on_after_a_call_that_failed(fault, nth, tmp_path, monkeypatch):
    module, name, number = CALLS[fault]
    true, calls = getattr(module, name), []

    def failing(*words, **options):
        calls.append(words)
        if len(calls) == nth + 1:
            raise OSError(number, os.strerror(number))
        return true(*words, **options)

    folder = put(unfinished(SAVING), tmp_path / "run")
    monkeypatch.setattr(module, name, failing)
    given = call(folder, *OFTEN, flags=SAVING)
    monkeypatch.undo()
    if len(calls) > nth and given.code:
        assert_one_line(given, os.strerror(number))
    settles(folder, SAVING)
    assert len(calls) > nth or name in ("flock", "truncate", "chmod")
