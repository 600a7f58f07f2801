"""Which runs of a plan one process trains together: configuration/stacking.py. Imports no torch."""

from collections.abc import Sequence

from configuration.stacking import shape, why_alone
from launching.plan import Job
from launching.progress import count


def batches(jobs: Sequence[Job], most: int) -> list[list[Job]]:
    """The jobs in batches of at most `most` of one shape; those that fit in none by themselves.

    In the order of the jobs. Given all jobs of a plan, also those that are finished, the batches
    are the same at every start: what a run computes depends, to rounding, on whether it is alone.
    """
    found, open_ones = [], {}
    for job in jobs:
        fits = most > 1 and not why_alone(job.config)
        key = shape(job.config) if fits else job.folder
        batch = open_ones.get(key, ())
        if not batch or len(batch) == most:
            batch = open_ones[key] = []
            found.append(batch)
        batch.append(job)
    return found


def in_words(parts: Sequence[Sequence[Job]]) -> str:
    """Such as "15 runs in 5 processes, 3 of them alone for network transformer"."""
    jobs = [job for batch in parts for job in batch]
    processes = f"{len(parts)} process{'' if len(parts) == 1 else 'es'}"
    reasons = [why for why in (why_alone(job.config) for job in jobs) if why]
    alone = f", {len(reasons)} of them alone for {', '.join(sorted(set(reasons)))}"
    return f"{count(len(jobs), 'run')} in {processes}{alone if reasons else ''}"
