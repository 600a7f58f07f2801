"""Submits a plan to a Slurm cluster as one job array, and follows it; needs submitit to submit.

    <root>/.slurm/NAME.json        a submission: which task computes which runs; written before it
    <root>/.slurm/NAME-3.json      left by its task 3: why which run failed
    <root>/.slurm/12_3_0_log.out   what task 3 of job 12 printed

A run that a task of any submission still has in the queue is not submitted again. Imports no torch.
"""

import io
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from configuration import runs
from configuration.digests import json_digest
from launching.local import Local, Task
from launching.plan import Job, is_busy
from launching.progress import accuracies, count, position, state

HERE = Path(__file__).resolve().parent.parent
FOLDER = ".slurm"  # in the root of the runs
LEAST_MINUTES = 5  # of --time: Slurm says 90 seconds before the end that a task is to stop
LOOK = 2.0  # seconds between looks at the run folders
ASK = 10.0  # seconds between questions to squeue
OURS = {  # what sbatch is told by flags of ours, or by submitit
    "partition": "--partition", "time": "--time", "array": "--max-parallel",
    "gpus-per-node": "--gpus-per-run", "job-name": None, "output": None, "error": None,
    "signal": None, "open-mode": None, "requeue": None, "no-requeue": None, "wait": "--wait",
}  # fmt: skip


# ---------------------------------------------------------------------------------- flags


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the flags of a cluster ask for."""

    partition: str | None
    gpus: int
    minutes: int
    parallel: int | None
    task_minutes: float
    further: dict[str, str | bool]  # of sbatch
    wait: bool
    status: bool

    @property
    def device(self) -> str:
        return "cuda:0" if self.gpus else "cpu"  # Slurm shows a task its own GPU alone


def add_flags(parser):
    group = parser.add_argument_group("on a cluster (docs/cluster.md)")
    group.add_argument(
        "--launcher", metavar="NAME", help="who computes the runs: local or slurm [local]"
    )
    group.add_argument("--partition", metavar="P", help="of the cluster [its default]")
    group.add_argument("--gpus-per-run", metavar="N", help="0, the CPU, or 1 [0]")
    group.add_argument(
        "--time", metavar="T", help="limit of a task; it is queued again and goes on [04:00:00]"
    )
    group.add_argument("--max-parallel", metavar="N", help="tasks at once [all]")
    group.add_argument(
        "--task-minutes",
        metavar="M",
        help="short runs share a task, one after another, up to about this many estimated minutes;"
        " 0: a task a run [10]",
    )
    group.add_argument(
        "--slurm",
        nargs="*",
        action="extend",
        metavar="KEY=VALUE",
        help="further options of sbatch, such as account=NAME mem=8G",
    )
    group.add_argument("--wait", action="store_true", help="follow the runs to their end, and draw")
    group.add_argument("--status", action="store_true", help="show where the runs are; submit none")


def parse_options(given) -> Options | None:
    """The options of a command line, None for a local launch.

    Raises:
        ValueError: one line.
    """
    flags = ("partition", "gpus_per_run", "time", "max_parallel", "task_minutes", "slurm")
    used = [n for n in (*flags, "wait", "status") if getattr(given, n) not in (None, False)]
    if given.launcher not in (None, "local", "slurm"):
        raise ValueError(f"unknown launcher '{given.launcher}'; choose from local, slurm")
    if given.launcher != "slurm":
        if used:
            flag = "--" + used[0].replace("_", "-")
            raise ValueError(f"{flag} is for a cluster; add --launcher slurm, or drop it")
        return None
    for flag, instead in (
        ("device", "say --gpus-per-run 0 or 1"),
        ("jobs", "say --max-parallel"),
        ("force", "delete the folders of the runs: a requeued task would begin anew each time"),
        ("batch_runs", "drop it"),
    ):
        if getattr(given, flag) not in (None, False):
            raise ValueError(
                f"--{flag.replace('_', '-')} is for this machine; with --launcher slurm {instead}"
            )
    if given.partition == "":
        raise ValueError("--partition '' is empty; name one of sinfo's, or drop it")
    gpus = _number("--gpus-per-run", given.gpus_per_run or "0", 0, 1)
    if given.graphed and not gpus:
        raise ValueError("--graphed is for a CUDA device; add --gpus-per-run 1, or drop it")
    return Options(
        partition=given.partition,
        gpus=gpus,
        minutes=_minutes(given.time or "04:00:00"),
        parallel=given.max_parallel and _number("--max-parallel", given.max_parallel, 1),
        task_minutes=_number("--task-minutes", given.task_minutes or "10", 0),
        further=_further(given.slurm or ()),
        wait=given.wait,
        status=given.status,
    )


def _number(flag: str, word: str, least: int, most: int | None = None) -> int:
    if not re.fullmatch("[0-9]{1,9}", word) or not least <= int(word) <= (most or 10**9):
        choices = f"{least} or {most}" if most else f"a whole number from {least}"
        raise ValueError(f"{flag} '{word}': choose {choices}")
    return int(word)


def _minutes(text: str) -> int:
    """Minutes of a time as sbatch takes it: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
    found = re.fullmatch(r"(?:(\d{1,4})-)?(\d{1,6})(?::(\d\d?))?(?::(\d\d?))?", text, re.ASCII)
    if found:
        days, *parts = (int(x) if x is not None else None for x in found.groups())
        first, second, third = parts
        if days is not None or third is not None:
            seconds = (first * 60 + (second or 0)) * 60 + (third or 0)
        else:
            seconds = first * 60 + (second or 0)
        minutes = ((days or 0) * 86_400 + seconds) // 60
        if minutes >= LEAST_MINUTES:
            return minutes
    raise ValueError(
        f"--time '{text}': choose at least {LEAST_MINUTES} minutes, as H:MM:SS or D-HH:MM:SS"
    )


def _further(words) -> dict[str, str | bool]:
    found = {}
    for word in words:
        key, equals, value = word.removeprefix("--").partition("=")
        if not re.fullmatch("[a-z][a-z-]*", key) or (equals and not value) or "\n" in value:
            raise ValueError(f"--slurm '{word}': write KEY=VALUE, such as account=NAME or mem=8G")
        if key in OURS:
            instead = f"say {OURS[key]}" if OURS[key] else "the launcher sets it itself"
            raise ValueError(f"--slurm '{word}': {instead}")
        found[key] = value if equals else True
    return found


# ---------------------------------------------------------------------------------- the queue


def ask(*command: str) -> str:
    """What a command of Slurm says.

    Raises:
        ValueError: it is not here, or fails; one line.
    """
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise ValueError(
            f"{command[0]} is not installed here; use --launcher slurm where Slurm is, on a login"
            " node of the cluster"
        ) from None
    if answer.returncode != 0:
        raise ValueError(f"{command[0]} failed: {' '.join(answer.stderr.split())[:200]}")
    return answer.stdout


@dataclass(frozen=True, kw_only=True)
class Place:
    """The task that was given a run.

    Attributes:
        id: as squeue names it.
        state: of Slurm, such as PENDING; None: it has left the queue.
        alone: whether the task has this run only.
        outcome, log: what the task leaves, and what it prints.
    """

    id: str
    state: str | None
    alone: bool
    outcome: Path
    log: Path


class Queue:
    """The submissions of a root of runs, and which of their tasks are in the queue.

    Raises:
        ValueError: Slurm does not answer, or a record is damaged; one line.
    """

    def __init__(self, root: Path):
        self.folder = root / FOLDER
        self._tasks = {}  # label of a job: (submission, index), the newest submission's
        records = [_read(path) for path in self.folder.glob("grokking-????????.json")]
        for record in sorted(records, key=lambda record: record["submitted"]):
            self._add(record)
        self.look()

    def _add(self, record: dict):
        for index, labels in enumerate(record["tasks"]):
            self._tasks |= {label: (record, index) for label in labels}

    def look(self):
        """Asks Slurm.

        Raises:
            ValueError: it does not answer.
        """
        lines = ask("squeue", "-h", "-r", "-u", str(os.getuid()), "-o", "%F|%K|%T|%j").splitlines()
        self._there = {}
        for job, index, found, name in (line.split("|", 3) for line in lines):
            self._there[name, int(index) if index.isdigit() else 0] = job, found

    def place(self, job: Job) -> Place | None:
        """Where a run was submitted to last, None where it never was."""
        if job.label not in self._tasks:
            return None
        record, index = self._tasks[job.label]
        name, tasks = record["name"], record["tasks"]
        number, found = self._there.get((name, index), (record["job"], None))
        one = f"{number}_{index}" if len(tasks) > 1 else str(number)
        return Place(
            id=one,
            state=found,
            alone=len(tasks[index]) == 1,
            outcome=self.folder / f"{name}-{index}.json",
            log=self.folder / f"{one}_0_log.out",
        )

    def has(self, job: Job) -> bool:
        place = self.place(job)
        return place is not None and place.state is not None

    def submit(self, jobs, options: Options, make_task) -> str:
        """Submits these runs as one array and returns its job id.

        Args:
            make_task: (jobs of a task, file for its outcome) -> a slurm_task.Share.

        Raises:
            ValueError: Slurm refuses; one line.
            OSError: the root cannot be written.
        """
        import submitit

        most = int(re.search(r"MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config"))[1])
        shares = share_out(jobs, 60 * options.task_minutes, most - 1)
        name = f"grokking-{secrets.token_hex(4)}"
        tasks = [
            make_task(share, self.folder / f"{name}-{index}.json")
            for index, share in enumerate(shares)
        ]
        record = {
            "name": name,
            "submitted": time.time(),
            "code": json_digest(tasks[0].code),
            "environment": tasks[0].environment,
            "job": None,
            "tasks": [[job.label for job in share] for share in shares],
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(record)
        executor = submitit.AutoExecutor(folder=self.folder, cluster="slurm")
        path = shlex.quote(str(HERE))
        executor.update_parameters(
            name=name,
            timeout_min=options.minutes,
            cpus_per_task=1,
            slurm_array_parallelism=options.parallel or len(shares),
            slurm_stderr_to_stdout=True,
            # For the pickle of a Share alone. No file of the working directory is ever imported.
            slurm_setup=[
                f"export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}} PYTHONSAFEPATH=1",
            ],
            slurm_additional_parameters={"requeue": True, **options.further},
            **({"gpus_per_node": options.gpus} if options.gpus else {}),
            **({"slurm_partition": options.partition} if options.partition else {}),
        )
        try:
            with redirect_stderr(io.StringIO()), executor.batch():  # the error says it, too
                submitted = [executor.submit(task) for task in tasks]
        except submitit.core.utils.FailedJobError as error:
            self._path(record).unlink()
            reason = " ".join(str(error).replace("sbatch: error: ", "").split())
            raise ValueError(f"sbatch refused: {reason[:200]}") from None
        record["job"] = submitted[0].job_id.split("_")[0]
        self._write(record)
        self._add(record)
        return record["job"]

    def _path(self, record: dict) -> Path:
        return self.folder / f"{record['name']}.json"

    def _write(self, record: dict):
        text = json.dumps(record, indent=1).encode()
        runs.replace_file(self._path(record), lambda file: file.write(text))


def _read(path: Path) -> dict:
    """A file that `runs.replace_file` wrote: only a disk or a person can have damaged it."""
    try:
        return runs.read_json(path)
    except runs.RunError:
        raise ValueError(f"{path} cannot be read; delete it, and its tasks are forgotten") from None


def check_installed():
    """Raises ValueError where there is no submitit."""
    if find_spec("submitit") is None:
        raise ValueError(
            "--launcher slurm needs submitit, which this Python lacks;"
            f" {sys.executable} -m pip install submitit"
        )


def share_out(jobs, seconds: float, most: int) -> list[list[Job]]:
    """The jobs of each task of an array: short ones together, up to `seconds`; `most` tasks.

    Args:
        jobs: any; kept in their order, the longest expected first as `plan` has them.
        seconds: about what the runs of a task may take together, where there are several.
        most: tasks that an array can have; where there are more, they are dealt out in turn.
    """
    shares, room = [], 0.0
    for job in jobs:
        if not shares or job.seconds > room:
            shares.append([])
            room = seconds
        shares[-1].append(job)
        room -= job.seconds
    if len(shares) <= most:
        return shares
    return [list(jobs[first::most]) for first in range(most)]


# ---------------------------------------------------------------------------------- following


def why_gone(job: Job, place: Place) -> str:
    """Why a run is not finished though its task has left the queue."""
    if place.outcome.is_file():
        try:
            failures = _read(place.outcome)
        except ValueError as error:
            return str(error)
        if job.label in failures:
            return failures[job.label]
    try:
        answer = ask("scontrol", "-o", "show", "job", place.id)
    except ValueError:  # forgotten by now
        answer = ""
    found = re.search(r"JobState=(\w+)", answer)
    how = f" ({found[1]})" if found else ""
    return f"lost its task {place.id}{how}; start the same command again"


class Follow(Local):
    """Runs that tasks of a cluster compute, for the display and the report of a local launch."""

    def __init__(self, jobs, queue: Queue):
        super().__init__([[job] for job in jobs], {"slurm": max(1, len(jobs))}, command=None)
        self.queue = queue
        self._next_ask = 0.0
        self._gone = set()  # labels of runs whose task was not in the queue when last asked

    def _advance(self):
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        for task in self.unfinished:
            if runs.is_complete(task.job.folder):
                self._leave(task, self.done)
        if time.monotonic() >= self._next_ask:
            self._next_ask = time.monotonic() + ASK
            try:
                self.queue.look()
            except ValueError:  # a controller that restarts: ask again
                return
            for task in self.unfinished:
                self._place(task)

    def _place(self, task: Task):
        """Moves a task to where its run is."""
        place = self.queue.place(task.job)
        if place.state is None:
            if task.job.label in self._gone:  # twice: the files of another machine come late
                task.failure = why_gone(task.job, place)
                logs = filter(Path.is_file, (task.job.folder / runs.LOG, place.log))
                task.log = next(logs, None)
                self._leave(task, self.failed)
            self._gone.add(task.job.label)
            return
        self._gone.discard(task.job.label)
        computed = place.state == "RUNNING" and (place.alone or is_busy(task.job.folder))
        if computed and task not in self.running:
            self.waiting.remove(task)
            task.look()
            task.device, task.started, task.left_at_start = place.id, time.time(), task.left
            self.running.append(task)
            self.display.started(task)
        elif not computed and task in self.running:  # requeued
            self.running.remove(task)
            self.waiting.append(task)

    def _leave(self, task: Task, into: list):
        if task in self.running:
            self.running.remove(task)
            self.spent += time.time() - task.started
            self.earned += task.left_at_start
        else:
            self.waiting.remove(task)
        if into is self.done:
            task.device = task.device or "slurm"
            task.started = time.time() - runs.read_summary(task.job.folder).get("seconds", 0)
        self._end(task, into)

    def _stop(self):
        """Nothing: the tasks go on when nobody follows them."""


def where(job: Job, queue: Queue) -> str:
    """Where a run is, for a person: finished, running and how far, queued, failed and why."""
    found, place = state(job), queue.place(job)
    if found in ("finished", "unusable folder"):
        return found
    if place is None:
        return "not submitted"
    if place.state is None:
        return f"failed: {why_gone(job, place)}; see {place.log}"
    if place.state != "RUNNING" or not (place.alone or is_busy(job.folder)):
        return f"queued as {place.id}"
    task = Task(job=job, force=False)
    task.look()
    return f"running as {place.id}: {position(task)}, {accuracies(task.row)}"


def show(jobs, queue: Queue):
    """Prints where every run is."""
    width = max((len(job.label) for job in jobs), default=0)
    found = [where(job, queue) for job in jobs]
    for job, text in zip(jobs, found, strict=True):
        print(f"  {job.label:{width}}   {text}")
    words = [text.split(":")[0].split(" as ")[0] for text in found]
    print(
        ", ".join(
            [count(len(jobs), "run"), *(f"{words.count(w)} {w}" for w in dict.fromkeys(words))]
        )
    )
