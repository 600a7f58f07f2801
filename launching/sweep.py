"""Which runs a sweep asks for: one declared run, with fields of its configuration varied.

Imports no torch and starts nothing.
"""

import itertools
import re
from dataclasses import replace

from configuration import runs
from configuration.flags import parse_value
from configuration.variants import changes, field_named, variant_name
from experiment.figure import Run
from launching.plan import Job, expected_seconds

EXAMPLE = "such as --vary weight_decay=0.5,1,2"


def parse_vary(words) -> dict[str, list]:
    """{field: values} of the words of all --vary: FIELD=VALUE,VALUE ... in their order.

    Raises:
        ValueError: no such field, or a value that is none of its type; one line.
    """
    text = " ".join(words)
    first, *pairs = re.split(r"(?:^|[\s,]+)([\w-]+)\s*=", text)
    if first.strip() or not pairs:
        raise ValueError(f"--vary '{text}': write FIELD=VALUE,VALUE, {EXAMPLE}")
    found = {}
    for name, values in zip(pairs[::2], pairs[1::2], strict=True):
        known = field_named(name)
        split = [word for word in re.split(r"[,\s]+", values) if word]
        if not split:
            raise ValueError(f"--vary {name}= has no value; write FIELD=VALUE,VALUE, {EXAMPLE}")
        for word in split:
            try:
                found.setdefault(name, []).append(parse_value(known, word))
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
    return found


def sweep(run: Run, vary: dict[str, list], *, size: str, seeds, root, own=None) -> list[Job]:
    """Every cell of the grid at every seed, each once, in the grid's order. Reads no file.

    A cell that equals the declared run is that run. `size`, `root`, `own` as in `plan`.

    Raises:
        ValueError: a cell that cannot be run, by its name, or a size that the run does not have.
    """
    jobs = {}
    for cell in itertools.product(*vary.values()):
        name, declared = run.form(size)
        changed = changes(dict(zip(vary, cell, strict=True)), declared)
        name = variant_name(name, changed)
        try:
            config = replace(declared, **changed)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        seconds = expected_seconds(config)  # of any seed
        for seed in seeds:
            jobs[name, seed] = Job(
                run=run.name,
                seed=seed,
                size=run.kept_as(size),
                root=root,
                folder=runs.run_folder(root, name, seed),
                config=config.at_seed(seed),
                seconds=seconds,
                own=own,
                changed=changed,
            )
    return list(jobs.values())
