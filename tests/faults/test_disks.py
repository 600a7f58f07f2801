"""No space, no inodes, no permission, limits and failing system calls: one line, then the same."""

import errno
import fcntl
import os
import resource
from pathlib import Path

import pytest
from faulty import (
    FLAGS,
    SAVING,
    Disk,
    assert_one_line,
    call,
    full_or_done,
    limit_files,
    put,
    settles,
    some,
    trainer,
    unfinished,
    whole,
)

from configuration import digests, runs
from conftest import slow
from training.session import Session

OFTEN = ("--checkpoint_seconds", "0")


@pytest.mark.parametrize("start", [dict, unfinished], ids=["from nothing", "from a checkpoint"])
@pytest.mark.parametrize("pages", some(range(1, 18), 4))
def test_run_on_a_full_disk_goes_on_when_there_is_space(pages, start, tmp_path):
    with Disk(tmp_path, "size=1m") as full:
        folder = put(start(), full.folder / "run")
        used = os.statvfs(full.folder)
        used = (used.f_blocks - used.f_bfree) * used.f_bsize // 4096
        full.remount(f"size={4 * (used + pages - 1) or 4}k")
        full_or_done(call(folder, *OFTEN), "No space left on device")
        full.remount("size=1m")
        settles(folder)


@pytest.mark.parametrize("inodes", some(range(2, 11), 2))
def test_run_without_inodes_goes_on_when_there_are_some(inodes, tmp_path):
    with Disk(tmp_path, f"size=1m,nr_inodes={inodes}") as full:
        full_or_done(call(full.folder / "run", *OFTEN), "No space left on device")
        full.remount("nr_inodes=100")
        settles(full.folder / "run")


def test_run_whose_disk_is_filled_meanwhile_goes_on_when_there_is_space(tmp_path, monkeypatch):
    import train

    with Disk(tmp_path, "size=200k") as full:

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
def test_run_on_a_disk_that_may_only_be_read_is_one_line(start, tmp_path):
    with Disk(tmp_path, "size=1m") as made:
        folder = put(start(), made.folder / "run")
        made.remount("ro")
        assert_one_line(call(folder), "Read-only file system", "--run_dir")
        made.remount("rw")
        settles(folder)


def test_complete_run_may_only_be_read(tmp_path):
    with Disk(tmp_path, "size=1m") as made:
        folder = put(whole(), made.folder / "run")
        made.remount("ro")
        assert "is complete" in call(folder).out


# Bytes: in config.json, in metrics.csv, in checkpoint.pt, in weights.bin.
LIMITS = (0, 1, 100, 500, 1000, 1500, 2000, 2400, 4000, 9000, 14000)


@pytest.mark.parametrize("flags", some([SAVING, FLAGS], 2))
@pytest.mark.parametrize("most", some(LIMITS, 2))
def test_run_under_a_limit_of_file_sizes_goes_on_without_it(most, flags, tmp_path):
    folder = put({}, tmp_path / "run")
    given = trainer(folder, *OFTEN, flags=flags, before=lambda: limit_files(most)).end()
    full_or_done(given, "File too large")
    settles(folder, flags)


@pytest.mark.parametrize("most", some(range(4, 20), 8))
def test_run_with_few_open_files_goes_on_with_more(most, tmp_path):
    def before():
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    full_or_done(trainer(tmp_path / "run", *OFTEN, before=before).end(), "Too many open files")
    settles(tmp_path / "run")


@slow
@pytest.mark.parametrize("more", range(24))
def test_run_with_little_memory_is_complete_or_one_line(more, tmp_path):
    def before():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * 4096 + more * 2**19
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    wide = FLAGS.replace("--hidden_sizes 8", "--hidden_sizes 3000")
    full_or_done(trainer(tmp_path / "run", *OFTEN, flags=wide, before=before).end(), "memory")


def of_python():
    raise MemoryError


def of_torch():
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")


def of_torch_while_it_saves():
    """What torch.save makes of a MemoryError of the file that it writes to."""
    try:
        of_python()
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")


@pytest.mark.parametrize("what", ["update", "row", "state"])
@pytest.mark.parametrize("lack", [of_python, of_torch, of_torch_while_it_saves])
def test_lack_of_memory_is_one_line(lack, what, tmp_path, monkeypatch):
    folder = put(unfinished(), tmp_path / "run")
    monkeypatch.setattr(Session, what, lambda *_: lack())
    assert_one_line(call(folder, *OFTEN), "out of memory", "choose a smaller run")
    monkeypatch.undo()
    settles(folder)


# ---------------------------------------------------------------------------------- system calls

CALLS = {
    "fsync": (os, "fsync", errno.EIO),
    "fsync without space": (os, "fsync", errno.ENOSPC),
    "fsync over quota": (os, "fsync", errno.EDQUOT),
    "opening a temporary": (runs, "open", errno.EIO),
    "opening a temporary over quota": (runs, "open", errno.EDQUOT),
    "opening a table": (digests, "open", errno.ESTALE),
    "rename on a server that forgot": (os, "replace", errno.ESTALE),
    "rename of a busy file": (os, "replace", errno.EBUSY),
    "rename without permission": (os, "replace", errno.EPERM),
    "lock": (fcntl, "flock", errno.ENOLCK),
    "lock on an old server": (fcntl, "flock", errno.ENOTSUP),
    "truncate": (os, "truncate", errno.EIO),
    "stat": (os, "stat", errno.ESTALE),
}


@pytest.mark.parametrize("nth", some([3, 0, 1, 2, 5, 8], 9))
@pytest.mark.parametrize("fault", CALLS)
def test_run_goes_on_after_a_call_that_failed(fault, nth, tmp_path, monkeypatch):
    module, name, number = CALLS[fault]
    true, calls = getattr(module, name, open), []

    def failing(*words, **options):
        calls.append(words)
        if len(calls) == nth + 1:
            raise OSError(number, os.strerror(number))
        return true(*words, **options)

    folder = put(unfinished(SAVING), tmp_path / "run")
    monkeypatch.setattr(module, name, failing, raising=False)
    given = call(folder, *OFTEN, flags=SAVING)
    monkeypatch.undo()
    full_or_done(given)
    settles(folder, SAVING)
