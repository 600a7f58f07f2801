"""Run folders of known numbers, claims about them, and trainers in a process of their own."""

import os
import sys
from dataclasses import replace

import pandas
from house import CATALOG

from configuration import runs
from experiment.claim import Claim, Within, at_least, at_most
from experiment.quantity import at, first

A, B = CATALOG.run("add_orthoadamw"), CATALOG.run("add_stablemax")  # any two declared runs


def made(root, name, config, epochs, *, every=2, complete=True, summary=None, **columns):
    """The folder of a run with these rows, `every` steps to an epoch; its seed is config's.

    As long as that is not 1 a measure in steps is not one in epochs.
    """
    with runs.RunFolder(runs.run_folder(root, name, config.seed), config) as folder:
        for i, epoch in enumerate(epochs):
            values = {c: None if v[i] is None else float(v[i]) for c, v in columns.items()}
            folder.append({"step": every * epoch, "epoch": float(epoch)} | values)
        if complete:
            folder.write_summary({"diverged_at_step": None} | (summary or {}))
    return folder.path


def write(root, run, seed=42, epochs=(0, 10, 20, 30), complete=True, **columns):
    made(root, run.name, replace(run.config, seed=seed), epochs, complete=complete, **columns)


def claim(*checks, panel="1a", **fields):
    given = {"words": "It holds", "paper": "about 20", "source": "Fig. 1a"} | fields
    return Claim(panel=panel, checks=checks, **given)


def table(**columns):
    rows = len(next(iter(columns.values())))
    return pandas.DataFrame({"epoch": [10.0 * i for i in range(rows)], **columns})


def write_path(folder, run, steps, a, b):
    """landscape_paths.csv of one run; its weights point along the first direction."""
    rows = {"step": steps, "a": a, "b": b, "radial_a": 0.5, "radial_b": 0.0, "run": run}
    derive(folder, runs.PATHS, rows)


def derive(folder, name, columns):
    """A table beside a complete run, which is made where there is none."""
    if not runs.is_complete(folder):
        with runs.RunFolder(folder, A.config) as opened:
            opened.append({"step": 0, "epoch": 0})
            opened.write_summary({"diverged_at_step": None})
    runs.write_derived(folder, {name: pandas.DataFrame(columns).to_csv(index=False)})


EARLY = Within(first(A, "test_accuracy", 0.5), at_most(20), "early")
HIGH = Within(at(A, "test_accuracy"), at_least(0.9), "high")
GOOD, LATE, LOW, BAD = [0, 0, 0.5, 0.9], [0, 0, 0.4, 0.9], [0, 0, 0.5, 0.8], [0, 0, 0.1, 0.2]

SMALL, SAME = (
    CATALOG.run("s5_toth_30"),
    CATALOG.run("s5_toth_50"),
)  # one has a CPU form of its own, the other has not


def write_size(root, run, size, **columns):
    made(root, *run.form(size, 42), range(4), every=14, **columns)


def forked_trainer(arguments) -> int:
    """Runs train.main in a child process, whose id it returns.

    Forked, so that no kill waits for an import of torch.
    """
    import train

    child = os.fork()
    if child:
        return child
    try:
        with open(os.devnull, "w") as quiet:
            sys.stdout = quiet
            code = train.main(arguments)
        os._exit(code)
    except BaseException:
        os._exit(1)
