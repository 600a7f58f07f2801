"""What one task of a Slurm array does on its node: it computes its share of the runs, as Local.

Asked to stop, every run writes its checkpoint. After SIGUSR1 or SIGUSR2, which Slurm sends before a
time limit or a preemption, the task asks to be queued again; after SIGTERM it does not, since that
may be scancel, and Slurm itself queues what it preempted. Imports no torch.
"""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from configuration import runs
from configuration.digests import digest_of
from experiment.catalog import load_figures
from launching.local import Local
from launching.plan import is_finished
from launching.progress import Lines, count

HERE = Path(__file__).resolve().parent.parent
# What a run is computed by, from HERE.
CODE = (
    *(f"{name}.py" for name in ("train", "datasets", "metrics", "models", "optimizers")),
    "stablemax.py",
    *(f"{name}/*.py" for name in ("configuration", "experiment", "launching", "layers", "paper")),
    *(f"{name}/*.py" for name in ("related", "tasks", "training")),
)
AGAIN = (signal.SIGUSR1, signal.SIGUSR2)
REPORT = 60.0  # seconds between two lines in the task's log


def code(own: Path | None = None) -> dict[str, str]:
    """{file: its SHA-256} of the code that computes runs, `own` included: a person's figures."""
    files = {str(p.relative_to(HERE)): p for pattern in CODE for p in sorted(HERE.glob(pattern))}
    if own is not None:
        files[str(own)] = own
    return {name: digest_of(path) for name, path in files.items()}


def environment() -> dict[str, str]:
    """The Python and the packages that rounding may depend on."""
    found = {"python": f"{sys.version.split()[0]} of {sys.executable}"}
    for name in ("torch", "numpy", "pandas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(kw_only=True)
class Share:
    """The runs that one task of an array computes, one after another; submitit calls it.

    Attributes:
        outcome: file that the task leaves: why which run failed.
        jobs: the pickled Jobs, not read before the code is known to be that of the submission.
        commands: {label of a job: the command line that computes it}.
        device: where, as train.py names it.
        code, environment: as they were at the submission.
        own: the file of a person's own figures, or None.
    """

    outcome: Path
    jobs: bytes
    commands: dict[str, list[str]]
    device: str
    code: dict[str, str]
    environment: dict[str, str]
    own: Path | None

    def __call__(self):
        """Exits 0 when every run is finished, 1 when one failed, 2 refused, 76 stopped."""
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        print(
            f"task {job_id()} on {socket.gethostname()}, restarted {restarts} times:"
            f" {count(len(self.commands), 'run')}"
        )
        refused = self._changed()
        if refused:
            print(refused)
            self._end(dict.fromkeys(self.commands, refused), 2)
        if self.own is not None:
            load_figures(self.own)  # registers what the configurations name
        jobs = [job for job in pickle.loads(self.jobs) if not _is_finished(job)]
        local = Local(
            [[job] for job in jobs],
            {self.device: 1},
            command=lambda batch, device, force: self.commands[batch[0].label],
            also_stop=AGAIN,
        )
        local.run(Lines(REPORT))
        failures = {task.job.label: task.failure for task in local.failed}
        if local.signal in AGAIN:
            name = signal.Signals(local.signal).name
            asked = subprocess.run(["scontrol", "requeue", job_id()]).returncode == 0
            how = "the task is queued again" if asked else "scontrol did not queue the task again"
            print(f"{name}: begun runs have their checkpoints; {how}", flush=True)
        self._end(failures, runs.EXIT_STOPPED if local.signal else bool(failures))

    def _changed(self) -> str | None:
        """What is not as it was at the submission, in a line, or None."""
        try:
            now = code(self.own)
        except OSError as error:
            return f"refused: the code cannot be read ({error})"
        names = sorted(self.code.keys() | now.keys())
        names = [name for name in names if self.code.get(name) != now.get(name)]
        here = environment()
        names += [f"{k} ({v} then, {here[k]} now)" for k, v in self.environment.items()
                  if v != here[k]]  # fmt: skip
        if not names:
            return None
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return (
            f"refused: {names[0]}{more} changed since the submission; put it back, or submit again"
            " to compute with what is there now"
        )

    def _end(self, failures: dict[str, str], status: int):
        text = json.dumps(failures, indent=1).encode()
        runs.replace_file(self.outcome, lambda file: file.write(text))
        sys.stdout.flush()
        sys.exit(int(status))


def task_maker(command, device: str, own: Path | None):
    """(jobs, outcome) -> the Share of a task, with the code and the environment of now.

    Args:
        command: job -> the command line that computes it.
        device, own: as in Share.
    """
    files, here = code(own), environment()

    def make(jobs, outcome: Path) -> Share:
        return Share(
            outcome=outcome,
            jobs=pickle.dumps(jobs),
            commands={job.label: command(job) for job in jobs},
            device=device,
            code=files,
            environment=here,
            own=own,
        )

    return make


def job_id() -> str:
    """Of this task, as squeue and scontrol name it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    one = os.environ.get("SLURM_JOB_ID", "")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else one


def _is_finished(job) -> bool:
    try:
        return is_finished(job)
    except (OSError, ValueError, runs.RunError):
        return False  # train.py says in the run's log what is wrong
