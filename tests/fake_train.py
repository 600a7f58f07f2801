"""Stands in for train.py where the launcher is tested: the same contract, no training.

What each run does is read from the environment variable FAKE (JSON: run -> behaviour), what
happened is appended to the file FAKE_EVENTS, a line "word run seed device pid" each.
"""

import argparse
import json
import os
import signal
import sys
import time
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from house import CATALOG  # noqa: E402

from configuration import runs  # noqa: E402
from configuration.digests import digest_of  # noqa: E402
from configuration.stacking import AND  # noqa: E402

PATIENCE = 30.0  # seconds; longer means the launcher under test is broken


def happened() -> list[list[str]]:
    events = Path(os.environ["FAKE_EVENTS"])
    return [line.split() for line in events.read_text().splitlines()] if events.exists() else []


def main() -> int:
    """One run after the other; the code of the last that did not end as it should."""
    codes = []
    for is_and, words in groupby(sys.argv[1:], lambda word: word == AND):
        codes += [] if is_and else [train(list(words))]
    return max(codes, key=bool)


def train(words) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("--run", "--runs", "--device"):
        parser.add_argument(flag, required=True)
    for flag in ("--seed", "--threads"):
        parser.add_argument(flag, required=True, type=int)
    for flag in ("--quick", "--force"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--size", default="full")
    given = parser.parse_args(words)
    asked = json.loads(os.environ["FAKE"])  # of the run, or of the run at this seed
    behaviour = asked.get(f"{given.run} {given.seed}", asked.get(given.run, "finish"))

    def event(word):
        line = f"{word} {given.run} {given.seed} {given.device} {os.getpid()}\n"
        with open(os.environ["FAKE_EVENTS"], "a") as events:
            events.write(line)

    def wait_until(condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(9)
            time.sleep(0.02)

    size = "quick" if given.quick else given.size
    name, config = CATALOG.run(given.run).form(size, given.seed)
    path = runs.run_folder(given.runs, name, given.seed)
    if runs.is_complete(path) and not given.force:
        return 0
    if behaviour == "busy_once" and not any(e[:2] == ["busy", given.run] for e in happened()):
        event("busy")
        return runs.EXIT_BUSY
    try:
        with runs.RunFolder(path, config) as folder:
            if given.force:
                folder.clear()
            event("force" if given.force else "start")
            if (path / runs.CHECKPOINT).exists():
                event("continue")
            return act(behaviour, folder, config, event, wait_until)
    except runs.RunBusy as error:
        print(error, file=sys.stderr)
        return runs.EXIT_BUSY
    except runs.RunError as error:
        print(error, file=sys.stderr)
        return 2


def act(behaviour, folder, config, event, wait_until) -> int:
    def row(step, accuracy):
        values = {"step": step, "epoch": step / config.steps_per_epoch}
        folder.append(values | {"train_accuracy": 1.0, "test_accuracy": accuracy})

    asked = []
    if behaviour in ("hang", "stubborn"):
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1) or event("asked"))
    table = folder.path / runs.METRICS
    if table.exists():  # goes on behind its rows; no checkpoint, which would have to load torch
        assert folder._appended[runs.METRICS].cut(table.stat().st_size, digest_of(table))
    else:
        row(0, 0.25)
    event("row")
    if behaviour == "fail":
        for number in range(20):
            print(f"line {number} of a traceback")
        print("boom: the reason", file=sys.stderr)
        return 3
    if behaviour == "vanish":
        return 0
    if behaviour in ("hang", "stubborn"):
        wait_until(lambda: asked and behaviour == "hang")
        (folder.path / runs.CHECKPOINT).write_text("a checkpoint")
        return runs.EXIT_STOPPED
    if behaviour == "meet":  # ends only once two runs have started
        wait_until(lambda: sum(e[0] == "start" for e in happened()) >= 2)
        time.sleep(0.1)  # room for a launcher that starts one too many
    if behaviour == "slow":
        wait_until(Path(os.environ["FAKE_EVENTS"] + ".release").exists)
    row(config.total_steps, 0.75)
    event("end")
    folder.write_summary({"diverged_at_step": 7 if behaviour == "diverge" else None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
