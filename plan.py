"""Which runs the figures ask for, where each is kept and what it costs; not who computes it.

A launcher (local.py, a cluster) takes the jobs of `plan` and adds device and process. Imports no
torch and starts nothing.
"""

import fcntl
from dataclasses import dataclass
from pathlib import Path

import experiments
import runs
from config import RunConfig

RUNS = Path(__file__).resolve().parent / "runs"  # as train.py, without --runs

# Milliseconds per step on one thread of a 2-core x86-64 CPU, each for a run of the manifest;
# other runs of its kind are scaled by their multiply-adds.
MEASURED_MS = {
    "mlp": (experiments.STABLEMAX, 23.0),
    "parity": (experiments.PARITY, 4.2),
    "transformer": (experiments.TRANSFORMER, 220.0),
}


def training_examples(c: RunConfig) -> int:
    """Number of training examples."""
    return c.train_examples


def _multiply_adds(c: RunConfig) -> int:
    """Multiply-adds of the forward pass of an epoch, without the look-ups in an embedding."""
    if c.use_transformer:
        layer = 4 * c.model_dim**2 + 2 * c.model_dim * c.ff_dim
        return training_examples(c) * (c.num_layers * layer + c.model_dim * c.modulo)
    if c.dataset == "sparse_parity":
        widths = (c.num_parity_features + c.num_noise_features, *c.hidden_sizes, 2)
    elif c.dataset == "mnist":
        widths = (784, *c.hidden_sizes, 10)
    else:
        widths = (*c.hidden_sizes, c.modulo)
    return training_examples(c) * sum(a * b for a, b in zip(widths, widths[1:], strict=False))


def expected_seconds(config: RunConfig) -> float:
    """Estimated seconds of a run on one thread of a 2-core x86-64 CPU, start-up not counted."""
    if config.use_transformer:
        kind = "transformer"
    else:
        kind = "parity" if config.dataset == "sparse_parity" else "mlp"
    reference, milliseconds = MEASURED_MS[kind]
    work = _multiply_adds(config) / _multiply_adds(reference)
    if config.train_precision == 64:
        work *= 2
    return config.num_epochs * work * milliseconds / 1000


@dataclass(frozen=True, kw_only=True)
class Job:
    """One declared run at one seed: what is computed and where it is kept, not who computes it."""

    run: str
    seed: int
    quick: bool
    root: Path
    folder: Path
    config: RunConfig

    @property
    def label(self) -> str:
        return f"{experiments.QUICK if self.quick else ''}{self.run} seed {self.seed}"

    @property
    def seconds(self) -> float:
        return expected_seconds(self.config)

    def arguments(self) -> list[str]:
        """The flags of train.py that name this run; device and threads are the launcher's."""
        named = ["--run", self.run, *(["--quick"] if self.quick else []), "--seed", str(self.seed)]
        return named + ([] if self.root == RUNS else ["--runs", str(self.root)])


def plan(figures, *, quick: bool, seeds, root) -> list[Job]:
    """Every run of the figures at every seed, each once, longest expected first. Reads no file.

    Args:
        figures: experiments.Figure objects.
        quick: the quick or the full form.
        seeds: whole numbers.
        root: the folder that holds all runs.

    Raises:
        ValueError: for a seed that no run can have.
    """
    jobs = []
    for run in {r.name: r for f in figures for r in f.runs}.values():
        for seed in seeds:
            name, config = run.form(quick, seed)
            folder = runs.run_folder(root, name, seed)
            job = Job(
                run=run.name, seed=seed, quick=quick, root=Path(root), folder=folder, config=config
            )
            jobs.append(job)
    return sorted(jobs, key=lambda job: -job.seconds)


def is_finished(job: Job) -> bool:
    """Whether the job's folder holds this very run, complete.

    Raises:
        runs.RunError: the folder belongs to another configuration or cannot be read.
    """
    complete = runs.is_complete(job.folder)
    if complete or (job.folder / runs.CONFIG).is_file():
        found = runs.read_config(job.folder)
        if found != job.config:
            raise runs.RunError(
                f"{job.folder} holds another configuration"
                f" ({runs.differences(found, job.config)}); delete it or choose another --runs"
            )
    return complete


def is_busy(folder: Path) -> bool:
    """Whether some process writes this run folder now."""
    try:
        with open(folder / runs.LOCK, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # no folder, no lock: nobody writes
    return False
