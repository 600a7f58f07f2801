"""Runs a plan as processes of this machine: several devices, several runs a device.

Knows what a job costs and where its folder is, not what it computes. A run that another process
writes is waited for; a failing run stops no other.
"""

import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from configuration import runs
from launching.plan import Job, is_busy
from launching.processes import LOST, Forked, ready, start

POLL = 0.1  # seconds between looks at the children
ASK_AGAIN = 2.0  # seconds between requests to stop
BUSY_POLL = 2.0  # seconds between looks at runs that other processes compute


@dataclass(kw_only=True)
class Task:
    """A job on its way through the executor, with its process while there is one."""

    job: Job
    force: bool
    batch: int = 0  # tasks of one batch share a process where they start together
    left: float = 0.0  # expected seconds of work that remain
    device: str | None = None
    process: Forked | subprocess.Popen | None = None
    started: float = 0.0  # wall clock, as file times are
    left_at_start: float = 0.0
    together: int = 1  # how many runs that process computes
    log: Path | None = None  # that of its process
    log_start: int = 0
    failure: str | None = None
    row: dict | None = None  # the newest row of metrics.csv

    def look(self):
        """Reads how far the run is."""
        self.row = runs.last_row(self.job.folder)
        if self.row and self.force and not self._is_of_this_start():
            self.row = None
        done = float(self.row["step"]) / self.job.config.total_steps if self.row else 0.0
        self.left = self.job.seconds * (1 - min(done, 1.0))

    def is_done(self) -> bool:
        """Whether it is complete, and by its process where another one was to be replaced."""
        is_new = not self.force or self._is_of_this_start(runs.SUMMARY)
        return is_new and runs.is_complete(self.job.folder)

    def _is_of_this_start(self, name=runs.METRICS) -> bool:
        """A forced run's files are the old ones until train.py has cleared them."""
        try:
            changed = (self.job.folder / name).stat().st_mtime
        except FileNotFoundError:
            return False
        return self.process is not None and changed >= self.started


class Local:
    """Runs jobs as processes of this machine, several a device, until all have ended.

    Args:
        parts: what to run, in batches of jobs that one process computes together; those with most
            work left start first.
        slots: device -> how many processes it takes at once.
        command: (jobs, device, force) -> the command line that computes the jobs of a batch.
        force: begun runs start again from step 0.
        also_stop: signals beside SIGINT, SIGTERM and SIGHUP that stop it.

    Attributes:
        waiting, busy, running, done, failed, stopped: tasks; another process computes busy ones.
        signal: the signal that stopped it, or None.
        work: expected seconds of work at the start, of all jobs.
        spent, earned: seconds that ended runs took, and the expected seconds they were worth.
    """

    def __init__(self, parts, slots: dict[str, int], *, command, force=False, also_stop=()):
        self.slots, self.command, self.also_stop = slots, command, also_stop
        self.waiting = [
            Task(job=job, force=force, batch=number)
            for number, batch in enumerate(parts)
            for job in batch
        ]
        self.busy, self.running, self.done, self.failed, self.stopped = [], [], [], [], []
        for task in self.waiting:
            task.look()
        load = self.loads(self.waiting)
        self.waiting.sort(key=lambda task: -load[task.batch])  # stable: a batch stands together
        self.work = sum(task.left for task in self.waiting)
        self.spent = self.earned = 0.0
        self.signal, self._kill = None, False
        self._next_look = 0.0

    @property
    def unfinished(self) -> list[Task]:
        return [*self.running, *self.busy, *self.waiting]

    @staticmethod
    def loads(tasks) -> dict[int, float]:
        """{batch: expected seconds of work that remain}"""
        found = {}
        for task in tasks:
            found[task.batch] = found.get(task.batch, 0.0) + task.left
        return found

    def run(self, display):
        """Returns when every job has ended, or when all children have stopped after a signal.

        Args:
            display: an object of progress.py, told what happens.
        """
        self.display = display
        wanted = [signal.SIGINT, signal.SIGTERM, *self.also_stop]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else: started with nohup
            wanted.append(signal.SIGHUP)
        previous = {number: signal.signal(number, self._on_signal) for number in wanted}
        try:
            while (self.waiting or self.running or self.busy) and not self.signal:
                self._advance()
                self.display.update(self)
                time.sleep(POLL)
            self._stop()
        except BaseException:  # a bug or a full disk must not leave children behind
            self._stop()
            raise
        finally:
            self.display.close()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number, _frame):
        # Only a second Ctrl-C kills: `timeout` and some batch systems send SIGTERM twice.
        self._kill = self._kill or (self.signal is not None and number == signal.SIGINT)
        self.signal = self.signal or number

    def _advance(self):
        self._retry_busy()
        self._fill()
        self._reap()

    def _fill(self):
        """Gives waiting tasks to free slots, the least loaded device first."""
        while self.waiting and not self.signal and ready():
            load = dict.fromkeys(self.slots, 0)
            for device in {id(task.process): task.device for task in self.running}.values():
                load[device] += 1
            free = [device for device in self.slots if load[device] < self.slots[device]]
            if not free:
                return
            first = self.waiting[0]
            batch = [t for t in self.waiting if (t.batch, t.force) == (first.batch, first.force)]
            self.waiting = [task for task in self.waiting if task not in batch]
            busy = [task for task in batch if is_busy(task.job.folder)]
            for task in busy:
                self._set_aside(task)
            batch = [task for task in batch if task not in busy]
            if batch:
                self._start(batch, min(free, key=load.get))

    def _start(self, batch: list[Task], device: str):
        """Starts one process for these tasks; what it prints goes to the first one's log."""
        batch = [task for task in batch if self._has_log(task)]
        if not batch:
            return
        command = self.command([task.job for task in batch], device, batch[0].force)
        shared = batch[0].job.folder / runs.LOG
        try:
            for task in batch:
                with open(task.job.folder / runs.LOG, "ab") as log:
                    log.write(os.fsencode(f"$ {shlex.join(command)}\n"))
                    if task is not batch[0]:
                        log.write(os.fsencode(f"its output is in {shared}\n"))
            start_of_output, now = shared.stat().st_size, time.time()
            for task in batch:
                task.log, task.log_start, task.together = shared, start_of_output, len(batch)
                task.device, task.started = device, now
            process = start(command, shared)
        except OSError as error:
            for task in batch:
                self._cannot_start(task, error)
            return
        for task in batch:
            task.process = process
            task.look()
            task.left_at_start = task.left
            self.running.append(task)
            self.display.started(task)

    def _has_log(self, task: Task) -> bool:
        """Whether its log can be written; where not it has failed, alone of its batch."""
        try:
            task.job.folder.mkdir(parents=True, exist_ok=True)
            open(task.job.folder / runs.LOG, "ab").close()
        except OSError as error:
            self._cannot_start(task, error)
            return False
        return True

    def _cannot_start(self, task: Task, error: OSError):
        task.failure = f"cannot be started ({error})"
        self._end(task, self.failed)

    def _reap(self):
        for task in list(self.running):
            code = task.process.poll()
            if code is None:
                continue
            self.running.remove(task)
            if task.together > 1 and task.is_done():
                self._settle(task, 0)  # however the others of its process ended
            elif self.signal and code in (
                runs.EXIT_STOPPED,
                -signal.SIGTERM,
                -signal.SIGKILL,
                LOST,
            ):
                self.stopped.append(task)
            elif code == runs.EXIT_BUSY:
                self._set_aside(task)
            else:
                self._settle(task, code)

    def _settle(self, task: Task, code: int):
        task.failure = self._failure(task, code)
        if task.failure is None:
            self.spent += (time.time() - task.started) / task.together
            self.earned += task.left_at_start
        self._end(task, self.failed if task.failure else self.done)

    def _failure(self, task: Task, code: int) -> str | None:
        if code in (0, LOST) and runs.is_complete(task.job.folder):
            return None
        if code == 0:
            return f"exited 0 without {runs.SUMMARY}"
        if code == LOST:
            return "has ended, and so has what started it; start the same command again"
        if code == runs.EXIT_STOPPED:
            return "was stopped from outside; start the same command again to continue it"
        return f"exited {code}" if code > 0 else f"was ended by {_signal_name(-code)}"

    def _end(self, task: Task, into: list):
        task.process, task.left = None, 0.0
        task.row = runs.last_row(task.job.folder)
        into.append(task)
        self.display.ended(task)

    def _set_aside(self, task: Task):
        """Another process computes this run: its result is ours, and it takes no slot."""
        task.process, task.force = None, False
        self.busy.append(task)
        self.display.waits(task)

    def _retry_busy(self):
        if not self.busy or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + BUSY_POLL
        for task in list(self.busy):
            task.look()
            if is_busy(task.job.folder):
                continue
            self.busy.remove(task)
            if runs.is_complete(task.job.folder):
                self._end(task, self.done)
            else:  # its process ended early: this launcher continues it
                self.waiting.insert(0, task)

    def _stop(self):
        """Asks every child for its checkpoint and waits for all of them."""
        if self.running:
            self.display.stopping(self)
        asked = -ASK_AGAIN
        while self.running:
            if (
                time.monotonic() - asked >= ASK_AGAIN
            ):  # one that was just starting may have missed it
                asked = time.monotonic()
                for task in self.running:
                    task.process.terminate()
            if self._kill:
                for task in self.running:
                    task.process.kill()
            self._reap()
            time.sleep(POLL)


def _signal_name(number: int) -> str:
    name = signal.Signals(number).name
    return name + (" (out of memory?)" if number == signal.SIGKILL else "")
