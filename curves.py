"""The complete runs behind a curve: which folders are drawn, and what is said of them in words.

The user's own complete runs come first, the published ones stand in. What a run is (task, share,
epochs) is worded from its configuration, so that no plot has to be told. Imports no torch.
"""

import dataclasses
import os
import re
import shlex
import warnings
from pathlib import Path
from typing import NamedTuple

import pandas

import runs
from config import RunConfig
from experiments import Figure, Run, find_figures, find_run

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
OWN, PUBLISHED = "your runs", "published results"


class Replicate(NamedTuple):
    """One complete run of one seed; `source` says whose it is, `folder` where it lies."""

    seed: int
    metrics: pandas.DataFrame
    source: str
    folder: Path


def own_runs() -> Path:
    """Where the user's own runs are: $GROKKING_RUNS, else runs/ beside this file."""
    return Path(os.environ.get("GROKKING_RUNS") or HERE / "runs")


def load_curve(
    run: Run, *, quick=False, seeds=None, runs_root=None, results_root=None
) -> list[Replicate]:
    """The complete replicates of a run.

    Args:
        run: as declared in the manifest.
        quick: the quick form; only the user's own, nothing quick is published.
        seeds: for each of these the user's own run, else the published one. None: every complete
            run of the user's own; where there is none, every published one.
        runs_root, results_root: folders holding <name>/seed_<s>; None: runs/ and results/.

    Returns:
        (seed, metrics, source) in the order of the seeds. A folder whose stored configuration is
        not the manifest's at that seed counts as missing, and a warning says so.
    """
    replicates, notes = find_replicates(run, quick, seeds, runs_root, results_root)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return replicates


def read_run(name: str, *, seed: int | None = None, quick=False, **roots) -> pandas.DataFrame:
    """metrics.csv of one run as a table: of this seed, or of the first one found.

    Raises:
        ValueError: unknown run.
        runs.RunError: there is no complete run; names the command that makes it.
    """
    run = find_run(name)
    seeds = None if seed is None else [seed]
    found = load_curve(run, quick=quick, seeds=seeds, **roots)
    if not found:
        figure = next(f for f in find_figures(()) if run in f.runs)
        which = name if seed is None else f"{name} seed {seed}"
        make = command(figure, quick, seeds, roots.get("runs_root"))
        raise runs.RunError(f"{which} has no complete run here; {make} makes it")
    return found[0].metrics


def find_replicates(run, quick, seeds, runs_root, results_root) -> tuple[list[Replicate], list]:
    """As load_curve: the replicates, and a sentence for everything that a reader has to know."""
    name, _ = run.form(quick)
    places = [(Path(runs_root or own_runs()), OWN)]
    if not quick:
        places.append((Path(results_root or RESULTS), PUBLISHED))
    found, notes = {}, []
    for root, source in places:
        if seeds is None and found:
            break
        for seed in _seeds_in(root / name) if seeds is None else seeds:
            folder = runs.run_folder(root, name, seed)
            if seed in found or not runs.is_complete(folder):
                continue
            try:
                metrics, diverged_at = _read(folder, run.form(quick, seed)[1])
            except runs.RunError as error:
                notes.append(f"not used ({source}): {name} seed {seed}: {error}")
                continue
            found[seed] = Replicate(seed, metrics, source, folder)
            if diverged_at is not None:
                notes.append(f"{name} seed {seed} diverged at step {diverged_at:,}")
    return [found[s] for s in (sorted(found) if seeds is None else seeds) if s in found], notes


def _seeds_in(folder: Path) -> list[int]:
    names = (re.fullmatch(r"seed_(\d+)", p.name) for p in folder.glob("seed_*"))
    return sorted(int(m[1]) for m in names if m)


def _read(folder: Path, expected: RunConfig) -> tuple[pandas.DataFrame, int | None]:
    """(metrics, step of divergence or None); RunError where the folder is not that run."""
    config = runs.read_config(folder)
    if config != expected:
        changes = runs.differences(config, expected)
        raise runs.RunError(f"its configuration is not the manifest's ({changes})")
    metrics = runs.read_metrics(folder)
    if metrics.empty:
        raise runs.RunError(
            f"{folder / runs.METRICS} has no row; delete its folder to run it again"
        )
    return metrics, runs.read_summary(folder).get("diverged_at_step")


# ---------------------------------------------------------------------------------- words

OPERATIONS = {
    "add_mod": "addition",
    "product_mod": "product",
    "subtract_mod": "subtraction",
    "divide_mod": "division",
}


def command(figure: Figure, quick: bool, seeds=None, runs_root=None) -> str:
    """The command that makes the runs of a figure where they are looked for."""
    words = ["./run_main_experiments.sh", "--figures", figure.id]
    words += ["--quick"] if quick else []
    words += ["--seeds", ",".join(map(str, seeds))] if seeds else []
    root = Path(runs_root or own_runs()).resolve()
    if root != HERE / "runs":
        words += ["--runs", min(str(root), os.path.relpath(root), key=len)]
    return shlex.join(words)


def task(config: RunConfig) -> str:
    """What is learned, such as "addition mod 113"."""
    if config.dataset == "sparse_parity":
        return f"sparse parity (n={config.num_noise_features}, k={config.num_parity_features})"
    if config.dataset == "mnist":
        return "MNIST"
    coded = " in binary codes" if config.dataset == "binary_alg" else ""
    return f"{OPERATIONS[config.binary_operation]} mod {config.modulo}{coded}"


def share(config: RunConfig) -> tuple[str, str]:
    """What is trained on, such as ("40 %", "of the pairs")."""
    if config.train_samples is not None:
        return f"{config.train_samples:,}", "examples"
    rows = "pairs" if config.dataset != "sparse_parity" else f"{config.num_samples:,} rows"
    return f"{100 * config.train_fraction:g} %", f"of the {rows}"


def quick_settings(run: Run) -> str:
    """What the quick look of a run uses: task, share, epochs and all else that is not the paper's.

    For example "addition mod 59, 80 % of the pairs, 4,000 epochs".
    """
    quick, full = run.quick, run.config
    said = {"modulo", "train_fraction", "num_epochs", "log_frequency", "num_samples"}
    other = [
        f"{f.name} {getattr(quick, f.name)}"
        for f in dataclasses.fields(RunConfig)
        if f.name not in said and getattr(quick, f.name) != getattr(full, f.name)
    ]
    return ", ".join([task(quick), " ".join(share(quick)), f"{quick.num_epochs:,} epochs", *other])


def in_form(text: str, run: Run, quick: bool) -> str:
    """A title or label of the manifest, which speaks of the full form, said of the drawn form."""
    full, form = run.config, run.form(quick)[1]
    for value in (lambda c: f"mod {c.modulo}", lambda c: share(c)[0]):
        text = re.sub(rf"(?<![\d.]){re.escape(value(full))}(?!\d)", value(form), text)
    return text
