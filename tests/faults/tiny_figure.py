"""A figure of one's own: a tiny run that ends at once, and one that can be struck in its midst."""

from dataclasses import replace

from configuration.config import RunConfig
from experiment.claim import Claim, Within, at_least
from experiment.figure import Curve, Figure, Panel, Run
from experiment.quantity import at

CONFIG = RunConfig(
    lr=0.01, modulo=7, hidden_sizes=(8,), train_fraction=0.5, num_epochs=16, log_frequency=2
)


def figure(name: str, *runs: Run) -> Figure:
    """A panel and a claim of these runs."""
    return Figure(
        id=name,
        title=name,
        claim="It learns.",
        panels=(
            Panel(
                id=name,
                title=name,
                kind="accuracy",
                curves=tuple(Curve(run=run, label=run.name) for run in runs),
            ),
        ),
        checks=tuple(
            Claim(
                panel=name,
                words=f"{run.name} learns",
                paper="no number",
                source="ours",
                checks=(Within(at(run, "train_accuracy"), at_least(0.1)),),
            )
            for run in runs
        ),
    )


TINY = Run(name="tiny", config=CONFIG, quick=None)
LONG = Run(name="long", config=replace(CONFIG, num_epochs=1500), quick=None)
FIGURES = (figure("tiny", TINY), figure("long", LONG))
