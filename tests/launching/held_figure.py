"""A figure of one's own whose runs are slow until the file that $GATE names exists."""

import os
import time
from dataclasses import replace

from configuration.choices import Loss, register
from configuration.config import RunConfig
from experiment.figure import Curve, Figure, Panel, Run


def held(logits, targets):  # (N, C), (N,) -> (N,)
    if "GATE" in os.environ and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)
    return -logits.log_softmax(1).gather(1, targets[:, None])[:, 0]


register(Loss(name="held", label="cross-entropy", function=held))

CONFIG = RunConfig(
    lr=0.01,
    modulo=7,
    hidden_sizes=(8,),
    train_fraction=0.5,
    loss_function="held",
    num_epochs=2_000,
    log_frequency=2,
)
RUNS = tuple(
    Run(name=f"held_{name}", config=replace(CONFIG, lr=lr), quick=None)
    for name, lr in (("requeued", 0.01), ("killed", 0.02), ("plain", 0.03))
)
FIGURE = Figure(
    id="held",
    title="held",
    claim="It learns.",
    panels=(
        Panel(
            id="held",
            title="held",
            kind="accuracy",
            curves=tuple(Curve(run=run, label=run.name) for run in RUNS),
        ),
    ),
)
