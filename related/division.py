"""Division mod 97 groks from 30 % of the pairs, ten times earlier than in the first paper.

System 003, its first notebook. Ours: each layer draws its own weights (R14), one seed draws split,
weights and batches (R12).
"""

from experiment.claim import PICTURE, Claim, Within, at_least
from experiment.figure import Curve, Figure, Panel, declare
from experiment.quantity import TEST, TRAIN
from related.presets import TOTH_DIVISION
from related.quantities import near, span, step_of

DIV_TOTH = declare(
    "div_toth_30",
    TOTH_DIVISION,
    {"modulo": 31, "train_fraction": 0.6, "num_steps": 1_000, "log_every": 50},
)

# Published steps to 99 % train, 50 % and about 100 % test accuracy.
FITTED, HALF, GROKKED = (650, 800), 10_300, 11_000
SOURCE = f"003, accuracy curves, {PICTURE}"

CLAIMS = (
    Claim(
        panel="division",
        words="The training set is fitted at the published step, within a factor of 2",
        paper=f"99 % at {span(*FITTED)} steps",
        source=SOURCE,
        checks=(Within(step_of(DIV_TOTH, TRAIN, 0.99), near(*FITTED)),),
    ),
    Claim(
        panel="division",
        words="Test accuracy stays at chance for thousands of steps",
        paper="1 % until about 5,000",
        source=SOURCE,
        checks=(Within(step_of(DIV_TOTH, TEST, 0.05), at_least(2_500)),),
    ),
    Claim(
        panel="division",
        words="Half of the test set is right at the published step, within a factor of 2",
        paper=f"{HALF:,}",
        source=SOURCE,
        checks=(Within(step_of(DIV_TOTH, TEST, 0.5), near(HALF)),),
    ),
    Claim(
        panel="division",
        words="It groks: test accuracy comes near 1",
        paper=f"about 1 at {GROKKED:,}; in the first paper on grokking near 1e6",
        source=f"{SOURCE}; README",
        checks=(Within(step_of(DIV_TOTH, TEST, 0.99), near(GROKKED)),),
    ),
)

FIGURE = Figure(
    id="division",
    title="Division modulo 97",
    claim=(
        "With 30 % of the pairs training accuracy is at 99 % near step 700, test accuracy near 1"
        f" at step {GROKKED:,}: ten times earlier than in the first paper on grokking."
    ),
    panels=(
        Panel(
            id="division",
            title="Division mod 97, 30 %",
            kind="accuracy_log",
            curves=(Curve(run=DIV_TOTH, label="Division mod 97, 30 %"),),
        ),
    ),
    checks=CLAIMS,
)
