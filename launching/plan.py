"""Which runs the figures ask for, where each is kept and what it costs; not who computes it.

A launcher (local.py, a cluster) takes the jobs of `plan` and adds device and process. Imports no
torch and starts nothing.
"""

import fcntl
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from configuration import runs
from configuration.config import RunConfig
from configuration.rules import num_examples
from configuration.variants import as_flags
from experiment.figure import size_flag

RUNS = Path(__file__).resolve().parent.parent / "runs"  # as train.py, without --runs

# Of one run of each kind: multiply-adds of the forward pass over what an update reads, and the
# milliseconds of an update on one thread of a 2-core x86-64 CPU (AMD EPYC), the other core as busy.
# Other runs of the kind are scaled by their multiply-adds.
MEASURED_MS = {
    "mlp": (5107 * 62_600, 26.8),  # StableMax, addition mod 113, 40 %
    "parity": (1000 * 49_000, 4.4),
    "transformer": (5017 * 604_288, 233.0),
    "decoder": (512 * 1_585_280, 44.0),  # those of 001, batches of 512
    "lstm": (512 * 1_060_992, 39.0),
    "embedding_mlp": (512 * 573_952, 21.0),
    "mnist": (2 * 200 * 198_800, 5.0),  # float64 weights, which count twice
}
# Of these, what an update costs however small its batch is; mnist from its two precisions, the
# others estimates.
LEAST_MS = {"decoder": 4.0, "lstm": 5.0, "embedding_mlp": 2.0, "mnist": 0.2}
DIMENSION_SECONDS = 3.0  # a measurement of 3,000 points, of which it is quadratic


def _examples(c: RunConfig) -> int:
    """Number of examples that an update reads."""
    n = c.train_examples
    return n if c.full_batch else min(c.batch_size, n)


def _multiply_adds(c: RunConfig) -> int:
    """Multiply-adds of the forward pass of an example, without the look-ups in an embedding."""
    tokens = c.sequence_length if c.dataset == "tokens" else 1  # 1: scaled alike
    if c.network_kind == "transformer":
        layer = 4 * c.model_dim**2 + 2 * c.model_dim * c.ff_dim
        return tokens * c.num_layers * layer + c.model_dim * c.modulo
    if c.network_kind == "lstm":
        first = 4 * c.lstm_dim * (c.model_dim + c.lstm_dim)
        further = (c.num_layers - 1) * 8 * c.lstm_dim**2
        return tokens * (first + further) + c.lstm_dim * c.modulo
    if c.network_kind == "embedding_mlp":
        widths = (tokens * c.model_dim, *c.hidden_sizes, c.modulo)
    elif c.dataset == "sparse_parity":
        widths = (c.num_parity_features + c.num_noise_features, *c.hidden_sizes, 2)
    elif c.dataset == "mnist":
        widths = (64 if c.mnist_images == "digits" else 784, *c.hidden_sizes, 10)
    else:
        widths = (*c.hidden_sizes, c.modulo)
    return sum(a * b for a, b in zip(widths, widths[1:], strict=False))


def _kind(c: RunConfig) -> str:
    if c.network_kind == "transformer":
        return "decoder" if c.dataset == "tokens" else "transformer"
    if c.network_kind == "mlp" and c.dataset == "mnist" and not c.full_batch:
        return "mnist"
    kind = "parity" if c.dataset == "sparse_parity" else c.network_kind
    return kind if kind in MEASURED_MS else "mlp"  # of one's own: a guess


def _rows(c: RunConfig) -> float:
    """About how many rows its metrics.csv gets."""
    every = c.log_every or c.log_frequency * c.steps_per_epoch
    growing = math.log(c.total_steps + 1) / math.log(c.log_growth) if c.log_growth else 0
    return c.total_steps / every + growing


def expected_seconds(config: RunConfig) -> float:
    """Estimated seconds of a run on one thread of a 2-core x86-64 CPU, start-up not counted.

    Of a run that may stop before its budget (--stop_at) it is the most.
    """
    kind = _kind(config)
    reference, measured = MEASURED_MS[kind]
    least = LEAST_MS.get(kind, 0.0)
    work = _examples(config) * _multiply_adds(config) / reference
    work *= {16: 1, 32: 1, 64: 2}[config.train_precision]
    if config.rotation or config.blur:
        work *= 2  # turning and blurring images costs as much as learning from them
    proportional = work * (measured - least)
    milliseconds = config.total_steps * (least + proportional)
    if not config.full_batch:
        # A row reads every example forwards, a third of what an update does with its own.
        passes = num_examples(config) / _examples(config)
        milliseconds += _rows(config) * passes * proportional / 3
    seconds = milliseconds / 1000
    if config.log_dimension:
        one = DIMENSION_SECONDS * (config.dimension_points / 3_000) ** 2
        splits = 2 if config.dimension_split == "both" else 1
        seconds += config.total_steps / config.log_dimension * one * splits
    return seconds


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run at one seed: what is computed and where it is kept, not who computes it."""

    run: str
    seed: int
    size: str  # under which it is kept: a cpu form that is the full one is "full"
    root: Path
    folder: Path
    config: RunConfig
    seconds: float  # expected, on one thread of a 2-core x86-64 CPU
    own: Path | None = None  # the file that declares it, where it is neither paper's nor related
    changed: Mapping = field(default_factory=dict)  # fields that are not as declared

    @property
    def name(self) -> str:
        """As its folder is called."""
        return self.folder.parent.name

    @property
    def label(self) -> str:
        return f"{self.folder.parent.relative_to(self.root)} seed {self.seed}"

    @property
    def may_stop(self) -> bool:
        """Whether it may end before its budget."""
        return self.config.stop_at != "None"

    def arguments(self) -> list[str]:
        """The flags of train.py that name this run; device and threads are the launcher's."""
        named = ["--run", self.run, *size_flag(self.size), "--seed", str(self.seed)]
        named += as_flags(self.changed)
        named += ["--figures-from", str(self.own)] if self.own else []
        return named + ([] if self.root == RUNS else ["--runs", str(self.root)])


def plan(figures, *, size: str, seeds=None, root, own: Path | None = None) -> list[Job]:
    """Every run of the figures at every seed, each once, longest expected first. Reads no file.

    Args:
        figures: those asked for; runs without a form of this size are left out.
        size: one of SIZES.
        seeds: whole numbers; None: those of each figure at this size.
        root: the folder that holds all runs.
        own: the file that the figures are from, if it is one's own.

    Raises:
        ValueError: for an unknown size or a seed that no run can have.
    """
    jobs = {}
    for figure in figures:
        for run in figure.at(size).runs:
            name, form = run.form(size)
            seconds = expected_seconds(form)  # of any seed
            for seed in figure.seeds_at(size) if seeds is None else seeds:
                jobs[name, seed] = Job(
                    run=run.name,
                    seed=seed,
                    size=run.kept_as(size),
                    root=Path(root),
                    folder=runs.run_folder(root, name, seed),
                    config=form.at_seed(seed),
                    seconds=seconds,
                    own=own,
                )
    return sorted(jobs.values(), key=lambda job: -job.seconds)


def is_finished(job: Job) -> bool:
    """Whether the job's folder holds this very run, complete.

    Raises:
        ValueError: the folder belongs to another configuration.
        runs.RunError: it is damaged.
        OSError: it cannot be read.
    """
    files = runs.Files(job.folder)
    complete = files.is_complete()
    if complete or files.has(runs.CONFIG):
        found = files.config(job.config)
        if found != job.config:
            raise ValueError(
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
