"""The verdict on a claim: its checks held against every complete run, seed by seed.

    reproduced        every check holds on every seed
    partly            some check holds on some seed, but not every check on every seed
    not reproduced    no check holds on any seed
    not run           there is no seed for which every run of the claim is complete (figures 7 and
                      12: and has what is made beside it)

A claim that is not run is not judged, but what its unfinished runs have shown so far is said, with
how far they came. Imports no torch.
"""

from dataclasses import dataclass

from experiment.claim import Claim
from experiment.figure import Run
from experiment.quantity import NotMeasured
from plotting import curves

REPRODUCED, PARTLY, FAILED, NOT_RUN = "reproduced", "partly", "not reproduced", "not run"
VERDICTS = {
    REPRODUCED: "every check holds on every seed",
    PARTLY: "some check holds on some seed, but not every check on every seed",
    FAILED: "no check holds on any seed",
    NOT_RUN: "there is no seed for which every run of the claim is complete",
}


@dataclass(frozen=True)
class Judgement:
    """A claim with what was measured. `held`: for each check the number of seeds it holds on."""

    claim: Claim
    verdict: str
    measured: str
    provenance: str
    held: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()


class Evidence:
    """The complete runs, each read once: the user's own first, the published ones otherwise.

    Args:
        runs_root, results_root: as in curves.load_curve.

    Attributes:
        notes: a sentence for every folder that was not used or diverged.
    """

    def __init__(self, runs_root=None, results_root=None):
        self.roots = runs_root, results_root
        self.notes: dict[str, None] = {}
        self._found = {}

    def find(self, run: Run, seeds=None, size="full", complete=True) -> dict:
        """{seed: replicate} of one run at one size; complete=False: of the unfinished ones."""
        key = run, seeds, size, complete
        if key not in self._found:
            found, notes = curves.find_replicates(run, size, seeds, *self.roots, complete=complete)
            self._found[key] = {r.seed: r for r in found}
            self.notes |= dict.fromkeys(notes)
        return self._found[key]

    def gather(self, claim: Claim) -> tuple[dict, list[int]]:
        """({run: {seed: replicate}}, the seeds that all runs of the claim have)."""
        found = {run: self.find(run, claim.seeds, claim.size) for run in claim.runs}
        common = set.intersection(*map(set, found.values()))
        if not common:  # own runs of one, published ones of the other: complete each other
            wanted = tuple(sorted(set.union(*map(set, found.values()))))
            found = {run: self.find(run, wanted, claim.size) for run in claim.runs}
            common = set.intersection(*map(set, found.values()))
        return found, sorted(common)

    def begun(self, claim: Claim) -> dict[Run, dict[int, curves.Replicate]]:
        """{run: {seed: replicate}}: the complete ones and those that are not yet."""
        return {
            run: self.find(run, claim.seeds, claim.size, complete=False)
            | self.find(run, claim.seeds, claim.size)
            for run in claim.runs
        }


def _table(replicate: curves.Replicate):
    """The metrics of a run; attrs["folder"] says where other tables may lie beside them.

    A text: pandas copies it deeply with every column that is taken.
    """
    replicate.metrics.attrs["folder"] = str(replicate.folder)
    return replicate.metrics


def _in_words(run: Run, size: str) -> str:
    """A run as its folder has it; one without this size by its name."""
    return run.form(size)[0] if run.kept_as(size) else f"{run.name} (has no {size} size)"


def judge(claim: Claim, evidence: Evidence) -> Judgement:
    """The verdict on one claim, with the values it rests on."""
    found, seeds = evidence.gather(claim) if claim.runs else ({}, [None])
    if not seeds:
        return _not_judged(claim, found, evidence.begun(claim))
    measured, missing = {}, {}  # by seed
    for seed in seeds:
        tables = [{run: _table(found[run][seed]) for run in claim.runs}]
        try:
            measured[seed] = [_values(check, tables)[0] for check in claim.checks]
        except NotMeasured as reason:
            missing[seed] = str(reason)
    if not measured:
        return Judgement(claim, NOT_RUN, "not run", next(iter(missing.values())))
    seeds, provenance = [], "analytic"
    if claim.runs:
        seeds = list(measured)
        sources = dict.fromkeys(found[run][s].source for s in seeds for run in claim.runs)
        word = "seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
        provenance = f"{word} {', '.join(map(str, seeds))} ({' and '.join(sources)})"
        if claim.size != "full":
            provenance = f"{claim.size} size, {provenance}"
        if missing:
            others = ", ".join(map(str, missing))
            provenance += f"; not of {others}: {next(iter(missing.values()))}"
    values = list(zip(*measured.values(), strict=True))  # of each check, seed by seed
    held = tuple(
        sum(check.holds(v) for v in each) for check, each in zip(claim.checks, values, strict=True)
    )
    if min(held) == len(measured):
        verdict = REPRODUCED
    else:
        verdict = PARTLY if any(held) else FAILED
    texts = []
    for check, each, count in zip(claim.checks, values, held, strict=True):
        said = ""
        if verdict == PARTLY:
            some = f"holds on {count} of {len(measured)} seeds"
            said = (
                " (fails)" if count == 0 else " (holds)" if count == len(measured) else f" ({some})"
            )
        texts.append(check.measured(each) + said)
    return Judgement(claim, verdict, "; ".join(texts), provenance, held, tuple(seeds))


def _values(check, tables) -> list[list]:
    """For each seed the values of a check's quantities.

    Raises:
        NotMeasured: something has to be made first, or a metrics.csv lacks a column.
    """
    try:
        return [[q.of(t) for q in check.quantities] for t in tables]
    except KeyError as column:
        raise NotMeasured(f"a metrics.csv has no column {column}; run it again") from None


def _not_judged(claim: Claim, complete: dict, begun: dict) -> Judgement:
    """A claim without a seed that all of its runs have complete: what is missing, what is known."""
    missing = [run for run in claim.runs if not complete[run]] or claim.runs
    words = []
    for run in missing:
        unfinished = {s: r for s, r in begun[run].items() if s not in complete[run]}
        words.append(_in_words(run, claim.size) + _how_far(run, claim.size, unfinished))
    none = not all(complete.values())
    text = f"no {'complete run of' if none else 'seed that all of'} {', '.join(words)}"
    text += "" if none else " have"
    return Judgement(claim, NOT_RUN, _so_far(claim, begun) or "not run", text)


def _how_far(run: Run, size: str, begun: dict) -> str:
    """Where the unfinished seeds of a run stand, in brackets; "" where none has begun."""
    come = {s: curves.progress(run, size, r.metrics) for s, r in begun.items()}
    return f" ({', '.join(f'seed {s} {text}' for s, text in come.items())})" if come else ""


def _so_far(claim: Claim, begun: dict) -> str:
    """The values of those checks whose runs have all begun with a seed in common."""
    texts = []
    for check in claim.checks:
        wanted = {run for q in check.quantities for run in q.runs}
        seeds = sorted(set.intersection(*(set(begun[run]) for run in wanted)))
        tables = [{run: _table(begun[run][s]) for run in wanted} for s in seeds]
        try:
            texts += [check.measured(_values(check, tables))] if tables else []
        except NotMeasured:
            continue
    return f"so far: {'; '.join(texts)}" if texts else ""
