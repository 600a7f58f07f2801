"""MNIST groks under squared error on 1,000 images, from initial weights times 8.

System 002 after Omnigrok, as its own code was not published. Ours: a random split, all images that
are not trained on test, and training accuracy is that of the images as they are (R10).
"""

from experiment.claim import PICTURE, Claim, Less, Within, at_least, at_most
from experiment.figure import Curve, Figure, Panel, Run, declare
from experiment.quantity import TEST, TRAIN, at, first, minus
from related.presets import OMNIGROK
from related.quantities import best, near, span, step_of

# Offline there are 5,000 images: 1,000 to train on, 4,000 to test (R10); float32 is enough.
_CPU = {"mnist_images": "embedded", "train_precision": 32, "softmax_precision": 32}
_QUICK = _CPU | {"mnist_images": "digits", "num_steps": 3_000, "log_every": 100}
MSE = declare("mnist_omnigrok_mse", OMNIGROK, _QUICK, cpu=_CPU)
CROSS_ENTROPY = declare(
    "mnist_omnigrok_ce",
    OMNIGROK,
    _QUICK | {"num_steps": 1_000},
    cpu=_CPU | {"num_steps": 3_000, "log_every": 100},
    loss_function="cross_entropy",
)
AUGMENTED = declare(
    "mnist_omnigrok_augmented",
    OMNIGROK,
    _QUICK | {"num_steps": 1_000},
    cpu=_CPU | {"num_steps": 24_000},
    rotation=30.0,
    blur=1.0,
)
MORE_IMAGES = declare(
    "mnist_omnigrok_5000",
    OMNIGROK,
    _QUICK | {"train_samples": 1_400},
    cpu=_CPU | {"train_samples": 4_000, "num_steps": 20_000},
    train_samples=5_000,
)

PANELS = tuple(
    Panel(
        id=f"mnist {key}",
        title=title,
        kind="accuracy_norm",
        curves=(Curve(run=run, label=title),),
    )
    for key, title, run in (
        ("mse", "Squared error", MSE),
        ("ce", "Cross-entropy", CROSS_ENTROPY),
        ("augmented", "Squared error, rotation and blur", AUGMENTED),
        ("5000", "Squared error, more images", MORE_IMAGES),
    )
)

# Published steps: squared error to 95 % train and 50 % test accuracy, augmented to 99 % train, more
# images to 80 % test accuracy.
FITTED, HALF, AUGMENTED_FITTED, MORE_THERE = (1_100, 1_300), 20_000, 12_000, 6_000
SOURCE = f"002, README and poster, {PICTURE}"


def _delay(run: Run):
    """Between levels that all four runs can reach, whatever their budgets."""
    words = "steps from 95 % train to 75 % test accuracy"
    return minus(step_of(run, TEST, 0.75), step_of(run, TRAIN, 0.95), words)


CLAIMS = (
    Claim(
        panel="mnist mse",
        words="With squared error the training set is fitted early",
        paper=f"95 % at {span(*FITTED)} steps (1,600 in a check on 1,000 of 5,000 images)",
        source=SOURCE,
        checks=(Within(step_of(MSE, TRAIN, 0.95), near(*FITTED)),),
        size="cpu",
    ),
    Claim(
        panel="mnist mse",
        words="Test accuracy is low when the training set is fitted",
        paper="14 to 18 % until about 6,000 steps",
        source=SOURCE,
        checks=(Within(best(MSE, steps=3_000), at_most(0.36)),),
        size="cpu",
    ),
    Claim(
        panel="mnist mse",
        words="It generalizes long after, at the published steps within a factor of 2",
        paper=f"50 % at {HALF:,}, about 90 % at 50,000; 85 % at 41,000 in a check on 1,000 of 5,000"
        " images",
        source=f"{SOURCE}; 85 %: a check of its recipe, not published",
        checks=(
            Within(step_of(MSE, TEST, 0.5), near(HALF), "50 %"),
            Within(step_of(MSE, TEST, 0.85), near(40_000), "85 %"),
        ),
        size="cpu",
    ),
    Claim(
        panel="mnist ce",
        words="Cross-entropy takes the delay away",
        paper="train 100 % at once, test 75 % by about 30 steps",
        source=SOURCE,
        checks=(
            Within(step_of(CROSS_ENTROPY, TEST, 0.75), at_most(60), "test"),
            Within(_delay(CROSS_ENTROPY), at_most(60), "delay"),
        ),
        size="cpu",
    ),
    Claim(
        panel="mnist augmented",
        words="With rotation and blur test accuracy rises together with training accuracy",
        paper=f"train 99 % near {AUGMENTED_FITTED:,} steps, test with it, 80 to 90 %",
        source=SOURCE,
        checks=(
            Within(step_of(AUGMENTED, TRAIN, 0.99), near(AUGMENTED_FITTED), "train"),
            Within(at(AUGMENTED, TEST, first(AUGMENTED, TRAIN, 0.99)), at_least(0.7), "test"),
        ),
        size="cpu",
        remark="24,000 steps were run, twice the published time, each batch turned by up to 30"
        " degrees and blurred anew: training accuracy levels off at 68 %, test accuracy at 58"
        " %. The two rise together as claimed, but the augmentation was not published, and"
        " under ours the images are not fitted.",
    ),
    Claim(
        panel="mnist 5000",
        words="With 5,000 images test accuracy follows training accuracy",
        paper=f"80 % near {MORE_THERE:,} steps, 89 % in the end",
        source=f"{SOURCE}; held to with the 4,000 that there are to train on offline",
        checks=(
            Within(step_of(MORE_IMAGES, TEST, 0.8), near(MORE_THERE), "80 %"),
            Within(best(MORE_IMAGES), at_least(0.85), "best"),
        ),
        size="cpu",
    ),
    Claim(
        panel="mnist",
        words="Squared error on 1,000 images is the one with the longest delay",
        paper="tens of thousands of steps, against none",
        source=SOURCE,
        checks=tuple(
            Less((label, _delay(run)), ("squared error", _delay(MSE)))
            for label, run in (
                ("cross-entropy", CROSS_ENTROPY),
                ("augmented", AUGMENTED),
                ("more images", MORE_IMAGES),
            )
        ),
        size="cpu",
        remark="All four runs were measured between levels that each was thought to reach. The"
        " augmented run comes to neither and has no delay to compare; against the other two"
        " the claim holds.",
    ),
)

FIGURE = Figure(
    id="mnist",
    title="MNIST from weights scaled by 8",
    claim=(
        "With squared error and 1,000 images test accuracy rises long after training accuracy;"
        " cross-entropy, augmentation and more images take the delay away."
    ),
    panels=PANELS,
    checks=CLAIMS,
)
