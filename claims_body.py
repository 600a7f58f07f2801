"""What figures 4 right, 5, 6c and 7 claim; as in claims.py. Their settings were never published."""

from checks import TEXT, Claim, Within, at_least, at_most, below, rising
from measures import (
    NORM,
    TEST,
    TRAIN,
    along_radius,
    at,
    epoch_of_largest,
    fitted,
    largest,
    largest_gap,
    minus,
    over,
)

OURS = "settings ours"
CODES = {"7 bits": "binary_add_adamw_7bits", "14 bits": "binary_add_adamw_14bits"}

FIGURE_4_RIGHT = (
    Claim(
        panel="4 right",
        words="On compact random binary codes training and test accuracy rise together",
        paper="together; no number",
        source=f"Sec. 4.1; {OURS}",
        checks=tuple(
            Within(largest_gap(run, TRAIN, TEST), at_most(0.1), label)
            for label, run in CODES.items()
        ),
    ),
    Claim(
        panel="4 right",
        words="On compact random binary codes the network generalizes without regularization",
        paper="generalizes; no number",
        source=f"Sec. 4.1; {OURS}",
        checks=tuple(
            Within(largest(run, TEST), at_least(0.95), label) for label, run in CODES.items()
        ),
    ),
    Claim(
        panel="4 right",
        words="On two-hot input the same network overfits: training accuracy runs ahead",
        paper="overfits; no number",
        source=f"Sec. 4.1; {OURS}",
        checks=(Within(largest_gap("add_adamw_lr5e3_long", TRAIN, TEST), at_least(0.5)),),
    ),
)

# ---------------------------------------------------------------------------------- figure 5


def cosine(tensor):
    return f"nlm_cosine/{tensor}.weight"


def _alignment_claims(panel, label, run, output):
    column = cosine(output)
    return (
        Claim(
            panel=panel,
            words=f"{label}: the cosine of -gradient and weights goes up to 0.9 in the output"
            " layer",
            paper="0.9",
            source=f"{TEXT}, Fig. 5; {OURS}",
            checks=(Within(largest(run, column), at_least(0.9)),),
        ),
        Claim(
            panel=panel,
            words=f"{label}: the output layer aligns after 100 % training accuracy",
            paper="rises; no number",
            source=f"{TEXT}, Fig. 5; {OURS}",
            checks=(
                Within(
                    minus(
                        largest(run, column, since=fitted(run)),
                        at(run, column, fitted(run)),
                        "largest cosine from 100 % train accuracy on minus that at 100 %",
                    ),
                    at_least(0.1),
                ),
            ),
        ),
    )


SMALL_TRANSFORMER = "sub_transformer_softmax64_aligned"

FIGURE_5 = (
    *_alignment_claims("5a", "MLP without bias", "add_softmax64_aligned", "layers.2"),
    *_alignment_claims("5b", "MLP with bias", "add_softmax64_aligned_bias", "layers.2"),
    *_alignment_claims("5c", "Transformer", SMALL_TRANSFORMER, "head"),
    Claim(
        panel="5c",
        words="Transformer: embedding and unembedding align most",
        paper="strongest; no number",
        source=f"{TEXT}, Fig. 5; {OURS}",
        checks=tuple(
            check
            for outer, tensor in (("W_E", "embedding"), ("W_U", "head"))
            for inner, other in (("W_in", "linear1"), ("W_out", "linear2"))
            for check in rising(
                {
                    inner: largest(SMALL_TRANSFORMER, cosine(f"layers.0.{other}")),
                    outer: largest(SMALL_TRANSFORMER, cosine(tensor)),
                }
            )
        ),
    ),
)

# --------------------------------------------------------------------------------- figures 6c and 7

DECAYED = "add_sgd_l2"
PEAK = epoch_of_largest(DECAYED, NORM)  # the L2 term is a constant times the norm's square

FIGURE_6C = (
    Claim(
        panel="6c",
        words="SGD with weight decay: cross-entropy first falls at the cost of the L2 term",
        paper="falls, rises; no number",
        source=f"{TEXT}, Fig. 6c; {OURS}",
        checks=(
            Within(
                over(at(DECAYED, NORM, PEAK), at(DECAYED, NORM, 0), "largest norm over initial"),
                at_least(1.05),
                "norm",
            ),
            Within(
                over(
                    at(DECAYED, "train_loss", PEAK),
                    at(DECAYED, "train_loss", 0),
                    "train loss at the largest norm over initial",
                ),
                at_most(0.1),
                "loss",
            ),
        ),
    ),
    Claim(
        panel="6c",
        words="SGD with weight decay: later cross-entropy and L2 term both fall",
        paper="both fall; no number",
        source=f"{TEXT}, Fig. 6c; {OURS}",
        checks=(
            Within(
                over(at(DECAYED, NORM), at(DECAYED, NORM, PEAK), "norm at the end over largest"),
                at_most(0.9),
                "norm",
            ),
            Within(
                over(
                    at(DECAYED, "train_loss"),
                    at(DECAYED, "train_loss", PEAK),
                    "train loss at the end over that at the largest norm",
                ),
                below(1),
                "loss",
            ),
        ),
    ),
)


def relative(run, column, value, words):
    """A value of a loss over the initial one."""
    return over(value, at(run, column, 0), f"{words} over initial")


def largest_rise(run):
    return relative(run, "test_loss", largest(run, "test_loss"), "largest test loss")


def left_of(run, column):
    return relative(run, column, at(run, column), f"{column.replace('_', ' ')} at the end")


FIGURE_7 = (
    Claim(
        panel="7",
        words="SGD lowers the training loss and raises the test loss",
        paper="no number",
        source=f"{TEXT}, Fig. 7; {OURS}",
        checks=(
            Within(left_of("add_sgd_path", "train_loss"), at_most(0.1), "train"),
            Within(largest_rise("add_sgd_path"), at_least(2), "test"),
        ),
    ),
    Claim(
        panel="7",
        words="SGD follows the direction of naive loss minimization",
        paper="follows it; no number (the cosine of figure 5 is above 0.9)",
        source=f"{TEXT}, Fig. 7; {OURS}",
        checks=(Within(along_radius("add_sgd_path", "add_sgd_path"), at_least(0.9)),),
    ),
    Claim(
        panel="7",
        words="SGD with weight decay starts like SGD, then turns to low test loss",
        paper="no number",
        source=f"{TEXT}, Fig. 7; {OURS}",
        checks=(
            Within(largest_rise("add_sgd_wd_path"), at_least(2), "start"),
            Within(
                over(
                    at("add_sgd_wd_path", "test_loss"),
                    largest("add_sgd_wd_path", "test_loss"),
                    "test loss at the end over largest",
                ),
                at_most(0.1),
                "turn",
            ),
        ),
    ),
    Claim(
        panel="7",
        words="⊥SGD goes straight to low training and test loss",
        paper="no number",
        source=f"{TEXT}, Fig. 7; {OURS}",
        checks=(
            Within(largest_rise("add_orthosgd_path"), at_most(2), "no detour"),
            Within(left_of("add_orthosgd_path", "train_loss"), at_most(0.1), "train"),
            Within(left_of("add_orthosgd_path", "test_loss"), at_most(0.1), "test"),
        ),
    ),
)

BODY = (*FIGURE_4_RIGHT, *FIGURE_5, *FIGURE_6C, *FIGURE_7)
