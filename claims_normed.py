"""What figures 8 and 9 claim, SGD with its rate over the gradient norm; as in claims.py."""

from checks import PICTURE, TEXT, Claim, Within, at_least, at_most, below, between, rising
from measures import COLLAPSE, TEST, at, first, largest, minus, rate_after, smallest

BITS = (16, 32, 64)
FIVE = "epochs as corrected: the picture's axis is 5 times too long"

# ---------------------------------------------------------------------------------- figure 8


def _induced_claims(panel, run):
    induced, picture = f"{run}_induced", f"Fig. 8, {PICTURE}; {FIVE}"
    return (
        Claim(
            panel=panel,
            words="Collapse sets in within about 100 epochs of the intervention, not before it",
            paper="at 6,100 (the line stands at 40 % collapse under a legend of 50 %)",
            source=f"{TEXT}; {picture}",
            checks=(Within(first(induced, COLLAPSE, 0.4), between(6_001, 6_200)),),
        ),
        Claim(
            panel=panel,
            words="Learning stops when collapse is induced at epoch 6,000",
            paper="test accuracy stays at 8.1 %, from 9 %",
            source=f"{TEXT}; {picture}",
            checks=(
                *(
                    Within(
                        minus(
                            extreme(induced, TEST, since=6_100),
                            at(induced, TEST, 6_000),
                            f"{name} test accuracy from epoch 6,100 minus that at 6,000",
                        ),
                        between(-0.02, 0.02),
                    )
                    for name, extreme in (("smallest", smallest), ("largest", largest))
                ),
            ),
        ),
        Claim(
            panel=panel,
            words="Without the intervention the same run generalizes",
            paper="9 % at 6,000, 57 % at 8,000, 87 % at 9,900",
            source=picture,
            checks=(
                Within(at(run, TEST, 9_900), at_least(0.75), "end"),
                Within(
                    minus(
                        at(run, TEST, 9_900),
                        at(run, TEST, 6_000),
                        "test accuracy at epoch 9,900 minus that at 6,000",
                    ),
                    at_least(0.4),
                    "gain",
                ),
            ),
        ),
    )


FIGURE_8 = (
    *_induced_claims("8a", "add_sgdl1norm64_70_lr3"),
    *_induced_claims("8b", "add_sgdnorm64_70_lr3"),
)

# ---------------------------------------------------------------------------------- figure 9


def _sgd_claims(panel, runs, level, onset, end=None):
    """Figures 9a to 9c: onset of collapse at `level`, final test accuracy (9b, 9c)."""
    picture = f"Fig. {'9a' if panel == '9 Euclidean' else panel}, {PICTURE}; {FIVE}"
    each = [(f"float{bits}", runs.format(bits)) for bits in BITS]
    collapsed = {label: first(run, COLLAPSE, level) for label, run in each}
    order = Claim(
        panel=panel,
        words="Under SGD on the normalised gradient collapse is earlier for lower precision",
        paper=", ".join(f"{e:,}" for e in onset) + " for float16, 32, 64",
        source=f"{TEXT}; {picture}",
        checks=rising(collapsed),
    )
    when = Claim(
        panel=panel,
        words="Under SGD collapse sets in at the published epochs, within a half",
        paper=", ".join(f"{e:,}" for e in onset) + " for float16, 32, 64",
        source=picture,
        checks=tuple(
            Within(collapsed[label], between(0.5 * e, 1.5 * e), label)
            for (label, _), e in zip(each, onset, strict=True)
        ),
    )
    if end is None:
        chance = Claim(
            panel=panel,
            words="At 40 % training data there is no progress on the test set, with SGD either",
            paper="at most 0.3 % (chance: 0.88 %)",
            source=picture,
            checks=tuple(Within(largest(run, TEST), below(0.02), label) for label, run in each),
        )
        return order, when, chance
    stops = Claim(
        panel=panel,
        words="Generalization stops when softmax collapse begins, with SGD, too",
        paper="nothing is gained afterwards; float16 and 32 lose",
        source=f"{TEXT}; {picture}",
        checks=tuple(
            Within(rate_after(run, TEST, collapsed[label]), at_most(0.1), label)
            for label, run in each
        ),
    )
    plateau = Claim(
        panel=panel,
        words="Test accuracy ends at the published level, within 10 points",
        paper=", ".join(f"{e:g} %" for e in end) + " for float16, 32, 64",
        source=picture,
        checks=tuple(
            Within(at(run, TEST, 9_900), between(e / 100 - 0.1, e / 100 + 0.1), label)
            for (label, run), e in zip(each, end, strict=True)
        ),
    )
    return order, when, stops, plateau


FIGURE_9 = (
    *_sgd_claims("9a", "add_sgdl1norm{}_40", 0.4, (6_300, 7_600, 9_200)),
    *_sgd_claims("9b", "add_sgdl1norm{}_60", 0.5, (6_400, 7_400, 8_800), (9, 28.6, 56)),
    *_sgd_claims("9c", "add_sgdl1norm{}_70", 0.5, (6_700, 7_800, 9_400), (57, 87, 96.6)),
    *_sgd_claims("9 Euclidean", "add_sgdnorm{}_40", 0.4, (6_300, 7_600, 9_200)),
)

NORMED = (*FIGURE_8, *FIGURE_9)
