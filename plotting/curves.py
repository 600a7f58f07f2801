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

from configuration import runs
from configuration.config import RunConfig
from experiment.figure import Figure, Run, asked_size, size_flag

HERE = Path(__file__).resolve().parent.parent
RESULTS = HERE / "results"
OWN, PUBLISHED = "your runs", "bundled runs"


class Replicate(NamedTuple):
    """The run of one seed; `source` says whose it is, `folder` where it lies."""

    seed: int
    metrics: pandas.DataFrame
    source: str
    folder: Path


def own_runs() -> Path:
    """Where the user's own runs are: $GROKKING_RUNS, else runs/ beside this file."""
    return Path(os.environ.get("GROKKING_RUNS") or HERE / "runs")


def chosen_size(size: str | None, quick: bool) -> str:
    """The size that the options size= and quick= ask for; quick=True is size="quick".

    Raises:
        ValueError: for an unknown size, or where the two contradict each other.
    """
    if quick and size not in (None, "quick"):
        raise ValueError(f"quick=True contradicts size '{size}'; give one of them")
    return asked_size(size, quick)


def load_curve(
    run: Run, *, size=None, quick=False, seeds=None, runs_root=None, results_root=None
) -> list[Replicate]:
    """The complete replicates of a run.

    Args:
        run: as declared by a figure.
        size: "full" (None), "cpu" or "quick"; of the quick form there are only the user's own,
            nothing quick is published.
        quick: the same as size="quick".
        seeds: for each of these the user's own run, else the published one. None: every complete
            run of the user's own; where there is none, every published one.
        runs_root, results_root: folders holding <name>/seed_<s>; None: runs/ and results/.

    Returns:
        (seed, metrics, source) in the order of the seeds. A folder whose stored configuration is
        not the declared one at that seed counts as missing, and a warning says so.
    """
    size = chosen_size(size, quick)
    replicates, notes = find_replicates(run, size, seeds, runs_root, results_root)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return replicates


def find_replicates(
    run, size, seeds, runs_root, results_root, *, complete=True
) -> tuple[list[Replicate], list]:
    """As load_curve: the replicates, and a sentence for everything that a reader has to know.

    A run without a form of this size has none. complete=False: those that have begun and are not
    complete, with their rows so far, instead.
    """
    if run.kept_as(size) is None:
        return [], []
    name, _ = run.form(size)
    places = [(Path(runs_root or own_runs()), OWN)]
    if size != "quick":
        places.append((Path(results_root or RESULTS), PUBLISHED))
    found, notes = {}, []
    for root, source in places:
        if seeds is None and found:
            break
        for seed in seeds_in(root / name) if seeds is None else seeds:
            folder = runs.run_folder(root, name, seed)
            if seed in found or (folder / runs.SUMMARY).is_file() != complete:
                continue
            if not complete and runs.last_row(folder) is None:
                continue
            try:
                metrics, diverged_at = read_folder(folder, run.form(size, seed)[1])
            except runs.RunError as error:
                notes.append(f"not used ({source}): {name} seed {seed}: {error}")
                continue
            found[seed] = Replicate(seed, metrics, source, folder)
            if diverged_at is not None:
                notes.append(f"{name} seed {seed} diverged at step {diverged_at:,}")
    return [found[s] for s in (sorted(found) if seeds is None else seeds) if s in found], notes


def seeds_in(folder: Path) -> list[int]:
    names = (re.fullmatch(r"seed_(\d+)", p.name) for p in folder.glob("seed_*"))
    return sorted(int(m[1]) for m in names if m)


def read_folder(folder: Path, expected: RunConfig) -> tuple[pandas.DataFrame, int | None]:
    """(metrics, step of divergence or None); RunError where the folder is not that run."""
    files = runs.Files(folder)
    config = files.config(expected)
    if config != expected:
        changes = runs.differences(config, expected)
        raise runs.RunError(f"its configuration is not the declared one ({changes})")
    diverged_at = files.summary()["diverged_at_step"] if files.has(runs.SUMMARY) else None
    return files.metrics(), diverged_at


def progress(run: Run, size: str, metrics: pandas.DataFrame) -> str:
    """How far an unfinished run has come, such as "at epoch 7,000 of 200,000"."""
    unit, total = run.form(size)[1].budget
    return f"at {unit} {metrics[unit].iloc[-1]:,.10g} of {total:,}"


# ---------------------------------------------------------------------------------- words

MOST_NAMED = 6  # runs that are named one by one
SIZE_WORDS = {"cpu": "CPU size", "quick": "quick look"}  # on a picture
SAID = {  # fields that these words name by themselves, or that compute nothing
    "modulo", "vocab_size", "train_fraction", "train_samples", "num_epochs", "num_steps",
    "num_samples", "num_noise_features", "mnist_images", "log_frequency", "log_every", "log_growth",
    "log_dimension",
}  # fmt: skip
# Fields whose names are not words enough.
SPOKEN = {
    "softmax_precision": "softmax in float{}",
    "train_precision": "training in float{}",
    "model_dim": "model width {}",
    "ff_dim": "feed-forward width {}",
}


def command(figure: Figure, size: str, seeds=None, runs_root=None) -> str:
    """The command that makes the runs of a figure where they are looked for."""
    words = ["./run_main_experiments.sh", "--figures", figure.id, *size_flag(size)]
    words += ["--figures-from", figure.source] if figure.source else []
    words += ["--seeds", ",".join(map(str, seeds))] if seeds else []
    root = Path(runs_root or own_runs()).resolve()
    if root not in (HERE / "runs", Path(os.devnull)):  # nothing can be made below the latter
        words += ["--runs", min(str(root), os.path.relpath(root), key=len)]
    return shlex.join(words)


def task(config: RunConfig) -> str:
    """What is learned, such as "addition mod 113"."""
    if config.dataset == "sparse_parity":
        return f"sparse parity (n={config.num_noise_features}, k={config.num_parity_features})"
    if config.dataset == "mnist":
        return "digits of 8×8 pixels" if config.mnist_images == "digits" else "MNIST"
    if config.operation.permutations:
        return config.operation.label
    if config.terms > 2:
        return f"sum of {config.terms} terms mod {config.modulo}"
    coded = " in binary codes" if config.dataset == "binary_alg" else ""
    return f"{config.operation.label} mod {config.modulo}{coded}"


def share(config: RunConfig) -> tuple[str, str]:
    """What is trained on, such as ("40 %", "of the pairs")."""
    if config.train_samples is not None:
        return f"{config.train_samples:,}", "examples"
    rows = {"sparse_parity": f"{config.num_samples:,} rows", "mnist": "images"}.get(
        config.dataset, "pairs" if config.terms == 2 else f"{config.terms}-tuples"
    )
    return f"{100 * config.train_fraction:g} %", f"of the {rows}"


def budget(config: RunConfig) -> str:
    """How long a run is, such as "4,000 epochs" or "at most 10,000 steps"."""
    text = _length(config)
    return text if config.stop_at == "None" else f"at most {text}"


def _length(config: RunConfig) -> str:
    unit, total = config.budget
    return f"{total:,} {unit}s"


def settings(run: Run, size: str) -> list[str]:
    """What a form of a run uses: task, share, length and all else that is not the published form's.

    For example ["addition mod 59", "80 % of the pairs", "4,000 epochs", "lr 0.5"].
    """
    form = run.form(size)[1]
    other = [
        SPOKEN.get(f.name, f.name.replace("_", " ") + " {}").format(getattr(form, f.name))
        for f in dataclasses.fields(RunConfig)
        if f.name not in SAID and getattr(form, f.name) != getattr(run.config, f.name)
    ]
    if form.mnist_images == "embedded" != run.config.mnist_images:
        other.append("5,000 images in all")
    return [task(form), " ".join(share(form)), budget(form), *other]


def settings_of(drawn, size: str) -> list[str]:
    """The settings of several runs in few lines: one a run, or what the runs of a grid have.

    A grid is told as a whole, such as "division mod 47, division mod 97; 50 % of the pairs;
    at most 4,000 to 8,000 steps; lr 0.02 (6 of 18 runs), warmup steps 230 or 370".
    """
    each = [settings(run, size) for run in drawn]
    lines = list(dict.fromkeys(", ".join(words) for words in each))
    if len({(words[0], *words[2:]) for words in each}) == 1 < len(lines):  # but for the share
        task_, _, *others = each[0]
        return [", ".join([task_, _shares(drawn, size), *others])]
    if len(lines) <= 3:
        return lines
    others = [
        text if n == len(each) else f"{text} ({n} of {len(each)} runs)"
        for text, n in _together(word for words in each for word in words[3:]).items()
    ]
    parts = [unique(words[0] for words in each), [_shares(drawn, size)]]
    parts += [_together(words[2] for words in each), others]
    return ["; ".join(", ".join(part) for part in parts if part)]


def _together(texts) -> dict[str, int]:
    """{text: how many it stands for}: those that differ in their last number are one."""
    found = {}
    for text in texts:
        match = re.fullmatch(r"(.*?)(\d[\d,.]*(?:e-?\d+)?)?(\D*)", text)
        found.setdefault(match.group(1, 3), []).append(match[2] or "")
    return {f"{a}{_span(numbers)}{b}": len(numbers) for (a, b), numbers in found.items()}


def _span(numbers) -> str:
    """Such as "5", "5 or 7" or "5 to 11" of more."""
    ends = sorted(unique(numbers), key=lambda x: float(x.replace(",", "") or 0))
    return ends[0] if len(ends) == 1 else f"{ends[0]} {'to' if ends[2:] else 'or'} {ends[-1]}"


def _shares(drawn, size: str) -> str:
    """What several runs are trained on, such as "20 %, 40 % of the pairs", from the least on."""
    found = {}
    forms = (run.form(size)[1] for run in drawn)
    for form in sorted(forms, key=lambda c: (c.train_samples or 0, c.train_fraction)):
        amount, of = share(form)
        found.setdefault(of, {})[amount] = None
    return ", ".join(
        f"{_span(amounts) if of == 'examples' else ', '.join(amounts)} {of}"
        for of, amounts in found.items()
    )


def in_form(text: str, run: Run, size: str) -> str:
    """A declared title or label, which speaks of the full form, said of the drawn form."""
    full, form = run.config, run.form(size)[1]
    values = (
        lambda c: f"mod {c.modulo}",
        lambda c: share(c)[0],
        _length,
    )
    for value in values:
        text = re.sub(rf"(?<![\d.,]){re.escape(value(full))}(?!\d)", value(form), text)
    return text


def unique(items) -> list:
    """The items without repetitions, in the order of their first appearance."""
    return list(dict.fromkeys(items))


def some_names(names, joint: str = ", ") -> str:
    """Names in a row; of many the first, and how many more."""
    names = unique(names)
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"and {len(names) - MOST_NAMED + 1} more"]
    return joint.join(names)
