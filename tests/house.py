"""The catalog that the tests look figures and runs up in."""

from experiment.catalog import runs_of
from train import CATALOG

PAPER_RUNS, RELATED_RUNS = (runs_of(fs.values()) for fs in (CATALOG.paper, CATALOG.related))
