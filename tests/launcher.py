"""Starts the launcher as a process of its own, with fake_train.py in the place of train.py."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from house import CATALOG

from configuration import runs

ROOT = Path(__file__).resolve().parent.parent
FAKE_TRAIN = Path(__file__).resolve().parent / "fake_train.py"
PATIENCE = 30.0  # seconds; longer means a failure
DRIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from configuration.interpreter import begin, end
begin()
import launch
from launching import local, processes
local.BUSY_POLL = 0.1
processes.PRELOAD = os.environ.get("FAKE_PRELOAD", "").split()
sys.path.insert(0, os.path.dirname(sys.argv[2]))
from fake_devices import present
launch.devices.probe = present(int(os.environ.get("FAKE_GPUS", 0)))
end(lambda: launch.main(sys.argv[4:], train=sys.argv[2], plots=sys.argv[3]))
"""
# Writes what it was asked for where the test looks for it.
FAKE_PLOTS = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from configuration.interpreter import begin
begin()
with open(os.environ["FAKE_EVENTS"], "ab") as events:
    events.write(os.fsencode("draw " + " ".join(sys.argv[1:]) + "\\n"))
print("figure drawn")
"""


def wait_until(condition, what: str):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain for {what}"
        time.sleep(0.02)


def is_alive(pid) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def parent_of(pid) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


class Launcher:
    """The launcher with a root of runs of its own (a path with a space)."""

    def __init__(self, folder: Path):
        self.root = folder / "the runs"
        self.events_file = folder / "events"
        self.plots = folder / "plots.py"
        self.plots.write_text(FAKE_PLOTS)
        self.started = []

    def command(self, *arguments):
        front = [sys.executable, "-P", "-c", DRIVER, str(ROOT), str(FAKE_TRAIN), str(self.plots)]
        return [*front, *arguments, "--runs", str(self.root)]

    def environment(self, fake: dict, gpus: int):
        own = {"FAKE": json.dumps(fake), "FAKE_EVENTS": str(self.events_file)}
        # What every run imports is loaded once, as torch is.
        load = {"FAKE_PRELOAD": "house", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        return os.environ | own | load | {"FAKE_GPUS": str(gpus), "TERM": "xterm"}

    def start(self, *arguments, fake=None, gpus=0, **options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        options = {"cwd": self.root.parent, "env": self.environment(fake or {}, gpus)} | options
        process = subprocess.Popen(self.command(*arguments), **pipes | options)
        self.started.append(process)
        return process

    def run(self, *arguments, fake=None, gpus=0):
        """The finished process; its output is in `stdout`, `stderr`."""
        process = self.start(*arguments, fake=fake, gpus=gpus)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def events(self, word=None) -> list[list[str]]:
        """Lines `word run seed device pid` in the order in which they happened."""
        text = os.fsdecode(self.events_file.read_bytes()) if self.events_file.exists() else ""
        found = [line.split() for line in text.splitlines()]
        return [e for e in found if word in (None, e[0])]

    def wait_for(self, word, count=1):
        wait_until(lambda: len(self.events(word)) >= count, f"{count} x {word}")

    def release(self):
        """Lets the runs that are `slow` end."""
        Path(f"{self.events_file}.release").touch()

    def folder(self, run: str, size="quick", seed=42) -> Path:
        name, _ = CATALOG.run(run).form(size, seed)
        return runs.run_folder(self.root, name, seed)

    def close(self):
        for process in self.started:
            process.kill()
            process.communicate()
        for event in self.events("start"):
            if is_alive(event[4]):
                os.kill(int(event[4]), 9)
