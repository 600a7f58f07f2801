"""A published run computed again: its rows, held against those of its metrics.csv.

    python -m documents.recompute add_orthosgd 43 --rows 4     # the first four rows
    python -m documents.recompute cpu/mnist_omnigrok_mse       # every row, as long as that takes

The run is trained on one thread of the CPU from its config.json; nothing is written. Where the
arithmetic is the published machine's, rows are equal in every digit. Another CPU rounds otherwise,
and training amplifies that: after step 30 differences are shown and not judged.
Exit codes: 0 agrees, 1 does not, 2 bad input.
"""

from configuration.interpreter import begin, end, told

if __name__ == "__main__":
    begin("pandas", "torch")

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from configuration import runs
from configuration.flags import Parser
from metrics import COLUMNS
from training.session import Session

RESULTS = Path(__file__).resolve().parent.parent / "results"
# Up to which step rows may differ by how much, relative to the value. Columns of single tensors are
# left out: a bias whose gradient is 0 but for rounding (keys of an attention) is noise under Adam.
TOLERANCES = {0: 1e-6, 10: 3e-4, 30: 1e-2}
# Of fractions and cosines, absolute: a logit's last digit decides on an example. Initial weights
# that differed by 1e-7 of themselves moved an accuracy of binary_add_adamw_ordered by 0.019 at 30.
SHARES = {0: 0.01, 10: 0.01, 30: 0.03}
JUDGED = max(TOLERANCES)


@dataclass(frozen=True)
class Difference:
    """Where a row is farthest from the published one, as a multiple of what is allowed there.

    `size` is relative, of fractions and cosines absolute; `share` is `size` over its tolerance.
    """

    step: int
    column: str = ""
    published: float | None = None
    here: float | None = None
    size: float = 0.0
    share: float = 0.0

    @property
    def agrees(self) -> bool:
        return self.share <= 1 or self.step > JUDGED

    def __str__(self):
        if not self.size:
            return f"step {self.step:>7,}  equal in every digit"
        judged = "" if self.step > JUDGED else "" if self.agrees else "  DIFFERS"
        return (
            f"step {self.step:>7,}  {self.size:8.1e}  {self.column} {self.published!r},"
            f" here {self.here!r}{judged}"
        )


def compare(published: dict, here: dict) -> Difference:
    """The largest difference of two rows of one step, over the published columns of the network.

    Args:
        published, here: {column: number}, NaN or None where there is none.

    Raises:
        ValueError: rows of different steps, or a published column that is no longer measured.
    """
    step = int(here["step"])
    if published["step"] != step:
        raise ValueError(f"the published row is of step {published['step']:g}, this of {step}")
    until = next((last for last in TOLERANCES if step <= last), JUDGED)
    allowed, share_allowed = TOLERANCES[until], SHARES[until]
    found = [Difference(step)]
    for column in (c for c in published if "/" not in c):
        if column not in here:
            raise ValueError(f"{column} of the published table is measured no longer")
        a, b = (math.nan if v is None else float(v) for v in (published[column], here[column]))
        if a == b or a != a and b != b:
            continue
        absolute = COLUMNS[column][0] in ("0 to 1", "-1 to 1")
        size = abs(a - b) / (1 if absolute else max(abs(a), abs(b)))
        size = size if math.isfinite(size) else math.inf  # a number where there was none
        share = size / (share_allowed if absolute else allowed)
        found.append(Difference(step, column, a, b, size, share))
    return max(found, key=lambda d: (d.share, d.size))


def recompute(
    folder,
    rows: int | None = None,
    report: Callable[[Difference], None] = lambda difference: None,
) -> list[Difference]:
    """The first rows of a published run, or all of them, computed again; see `compare`.

    Args:
        folder: of a complete run.
        rows: how many, row 0 included; None: to its end.
        report: called with each row's difference as it is known.

    Raises:
        runs.RunError: the folder holds no complete run.
        ValueError: as `compare`.
    """
    runs.read_summary(folder)  # the rows are those that the run left
    published = runs.read_metrics(folder).to_dict("records")[:rows]
    session = Session(runs.read_config(folder))
    found = []
    while True:
        if session.is_logged(session.step):
            found.append(compare(published[len(found)], session.row(session.step)))
            report(found[-1])
        if len(found) == len(published):
            return found
        session.update()


def in_words(found: list[Difference]) -> str:
    """What was found, in a sentence or two."""
    equal = sum(not d.size for d in found)
    if equal == len(found):
        return f"{len(found)} rows, all equal in every digit"
    largest, worst = max(found, key=lambda d: d.size), [d for d in found if not d.agrees]
    text = f"{len(found)} rows, {equal} equal in every digit; the largest difference: {largest}"
    if worst:
        return f"{text}\nnot within rounding: {len(worst)} rows, first that of step {worst[0].step}"
    return f"{text}\nthe rows up to step {JUDGED} agree within rounding"


def published_folder(name: str, seed: str | None) -> Path:
    """The folder of a published run by its name, or any run folder by its path.

    Raises:
        ValueError: there is none; names the nearest.
    """
    if (Path(name) / runs.CONFIG).is_file() and seed is None:
        return Path(name)
    seeds = sorted((RESULTS / name).glob("seed_*"))
    folder = RESULTS / name / f"seed_{seed}" if seed else (seeds or [RESULTS / name])[0]
    if (folder / runs.CONFIG).is_file():
        return folder
    if seeds:
        choices = ", ".join(s.name.removeprefix("seed_") for s in seeds)
        raise ValueError(f"seed '{seed}' of {name} is not published; choose from {choices}")
    known = {str(p.parent.parent.relative_to(RESULTS)) for p in RESULTS.rglob(runs.CONFIG)}
    near = difflib.get_close_matches(name, known, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "results/ has all"
    raise ValueError(f"run '{name}' is not published; {hint}")


def main(argv=None) -> int:
    parser = Parser(prog="recompute", description="Computes a published run again and compares.")
    parser.add_argument("run", help="such as add_orthosgd or cpu/s5_toth_30, or a run's folder")
    parser.add_argument("seed", nargs="?", help="[the first that is published]")
    parser.add_argument("--rows", type=int, metavar="N", help="only the first N rows [all]")
    options = parser.parse_args(argv)
    try:
        if options.rows is not None and options.rows < 1:
            raise ValueError(f"--rows {options.rows}: choose a whole number from 1")
        folder = published_folder(options.run, options.seed)
        env = runs.read_json(folder / runs.ENV)
        print(f"{folder}: commit {str(env['commit'])[:7]}, {env['device']}, torch {env['torch']}")
        import torch

        torch.set_num_threads(1)
        report = lambda difference: print(difference, flush=True)  # noqa: E731
        found = recompute(folder, options.rows, report)
    except (ValueError, runs.RunError) as error:
        parser.error(str(error))
    print(in_words(found))
    return told() or int(not all(d.agrees for d in found))


if __name__ == "__main__":
    end(main)
