"""What the figures' files declare, as the tests look it up: catalog, runs, claims."""

import paper
import related
from experiment.catalog import Catalog, runs_of

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
PAPER_RUNS, RELATED_RUNS = runs_of(paper.FIGURES), runs_of(related.FIGURES)
CLAIMS, RELATED_CLAIMS = (
    [claim for figure in figures for claim in figure.checks]
    for figures in (paper.FIGURES, related.FIGURES)
)
