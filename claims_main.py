"""What figures 4 (left, middle) and 6 (a, b) claim; as in claims.py."""

from checks import PICTURE, TEXT, Claim, Within, at_least, at_most, below, between, rising
from measures import NORM, TEST, TRAIN, at, delay, first, fitted, largest, minus, over

# ---------------------------------------------------------------------------------- figure 4


def norm_growth(run):
    words = "weight norm at 95,000 over that at 0"
    return over(at(run, NORM, 95_000), at(run, NORM, 0), words)


FIGURE_4 = (
    Claim(
        panel="4 left",
        words="StableMax groks the product: half of the test set",
        paper="50 % at 53,000; a re-run of others the same",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(first("product_stablemax", TEST, 0.5), between(35_000, 75_000)),),
    ),
    Claim(
        panel="4 left",
        words="Addition is generalized by the end of figure 4",
        paper="99.4 % at 95,000",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(at("add_stablemax", TEST, 95_000), at_least(0.97)),),
    ),
    Claim(
        panel="4 left",
        words="The product is generalized by the end of figure 4",
        paper="99 % at 95,000",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(at("product_stablemax", TEST, 95_000), at_least(0.95)),),
    ),
    Claim(
        panel="4 left",
        words="Addition is grokked before the product",
        paper="50 % at 34,500 and 53,000",
        source=f"Fig. 4 left, {PICTURE}",
        checks=rising(
            {
                "addition": first("add_stablemax", TEST, 0.5),
                "product": first("product_stablemax", TEST, 0.5),
            }
        ),
    ),
    Claim(
        panel="4 left",
        words="Sparse parity is generalized (its time is known to be unstable)",
        paper="96 % at 15,000, 100 % from 25,000; 100 % at 70,000 in a re-run of others",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(first("parity_stablemax", TEST, 0.95), at_most(100_000)),),
    ),
    Claim(
        panel="4 left",
        words="Sparse parity is grokked: fitted first, generalized later",
        paper="test accuracy 52 % at the start (chance), training 100 % at the first logged epoch",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(
            Within(
                at("parity_stablemax", TEST, fitted("parity_stablemax")),
                below(0.75),
            ),
        ),
    ),
    Claim(
        panel="4 middle",
        words="The weight norm of the modular tasks at the end is the published one, within a"
        " quarter",
        paper="addition 32,100, product 33,400 (the picture's labels are swapped)",
        source=f"Fig. 4 middle, {PICTURE}",
        checks=(
            Within(at("add_stablemax", NORM, 95_000), between(24_075, 40_125), "addition"),
            Within(at("product_stablemax", NORM, 95_000), between(25_050, 41_750), "product"),
        ),
    ),
    Claim(
        panel="4 middle",
        words="The weight norm grows substantially while the modular tasks are grokked",
        paper="from about 13 to 33,000: 2,500 times",
        source=f"Fig. 4 middle, {PICTURE}",
        checks=(
            Within(norm_growth("add_stablemax"), at_least(100), "addition"),
            Within(norm_growth("product_stablemax"), at_least(100), "product"),
        ),
    ),
    Claim(
        panel="4 middle",
        words="The weight norm grows while sparse parity is grokked, but much less",
        paper="2,500 at 95,000, a tenth of the others",
        source=f"Fig. 4 middle, {PICTURE}",
        checks=(
            Within(norm_growth("parity_stablemax"), at_least(10)),
            Within(at("parity_stablemax", NORM, 95_000), at_most(10_000), "norm"),
        ),
    ),
)

# ---------------------------------------------------------------------------------- figure 6

SCALED = "epochs as corrected: the picture's axis is 2.5 times too long"


def _transformer_claims(operation, short):
    panel = f"6a {operation}"
    ortho, plain, decayed = (
        f"{short}_transformer_{method}" for method in ("orthoadamw", "adamw", "adamw_wd")
    )
    picture = f"Fig. 6a, {PICTURE}; {SCALED}"
    return (
        Claim(
            panel=panel,
            words="⊥AdamW generalizes before AdamW with weight decay",
            paper="87 % at 400 and 98.8 % at 600; with weight decay 93 % at 1,200, 100 % at 1,400",
            source=picture,
            checks=rising(
                {
                    "⊥AdamW": first(ortho, TEST, 0.95),
                    "AdamW, weight decay": first(decayed, TEST, 0.95),
                }
            ),
        ),
        Claim(
            panel=panel,
            words="⊥AdamW generalizes within a few hundred epochs",
            paper="87 % at 400, 98.8 % at 600",
            source=picture,
            checks=(Within(first(ortho, TEST, 0.95), at_most(1_000)),),
        ),
        Claim(
            panel=panel,
            words="AdamW with weight decay groks",
            paper="8 % at 800, 93 % at 1,200, 100 % at 1,400",
            source=picture,
            checks=(Within(first(decayed, TEST, 0.95), between(800, 2_000)),),
        ),
        Claim(
            panel=panel,
            words="AdamW alone stays at chance as far as the picture goes",
            paper="at most 0.4 % by 2,000",
            source=picture,
            checks=(Within(largest(plain, TEST, since=fitted(plain), until=2_000), below(0.02)),),
        ),
        Claim(
            panel=panel,
            words="⊥AdamW generalizes without overfitting first",
            paper="without; but in the picture test accuracy is 1 % when training is at 100 %",
            source=f"{TEXT}; {picture}",
            checks=(Within(at(ortho, TEST, first(ortho, TRAIN, 0.99)), at_least(0.5)),),
        ),
    )


FIGURE_6 = (
    *_transformer_claims("subtraction", "sub"),
    *_transformer_claims("addition", "add"),
    Claim(
        panel="6b",
        words="AdamW fits the training set and stays at chance",
        paper="0.1 %, with 100 % training accuracy by 80",
        source=f"Fig. 6b, {PICTURE}",
        checks=(
            Within(
                largest("add_adamw_lr5e3", TEST, since=first("add_adamw_lr5e3", TRAIN, 0.99)),
                below(0.02),
            ),
        ),
    ),
    Claim(
        panel="6b",
        words="⊥SGD generalizes within 400 iterations",
        paper="100 %; 99 % in the picture",
        source=f"{TEXT}; Fig. 6b, {PICTURE}",
        checks=(Within(at("add_orthosgd", TEST, 400), at_least(0.98)),),
    ),
    Claim(
        panel="6b",
        words="⊥SGD has no phase of overfitting",
        paper="95 % training accuracy at 305, test at 360",
        source=f"{TEXT}; Fig. 6b, {PICTURE}",
        checks=(Within(delay("add_orthosgd", 0.95), at_most(75)),),
    ),
    Claim(
        panel="6b",
        words="⊥AdamW rises early",
        paper="47 % at 120, 88 % at 160",
        source=f"Fig. 6b, {PICTURE}",
        checks=(Within(first("add_orthoadamw_lr5e3", TEST, 0.5), between(80, 180)),),
    ),
    Claim(
        panel="6b",
        words="⊥AdamW generalizes",
        paper="98.9 % at the end; 85 % and 80 % in re-runs of others",
        source=f"Fig. 6b, {PICTURE}",
        checks=(Within(at("add_orthoadamw_lr5e3", TEST), at_least(0.97)),),
    ),
    Claim(
        panel="6b",
        words="⊥AdamW has no phase of overfitting: test accuracy stays near training accuracy",
        paper="99.5 % training against 98.9 % test at the end",
        source=f"{TEXT}; Fig. 6b, {PICTURE}",
        checks=(
            Within(
                minus(
                    at("add_orthoadamw_lr5e3", TRAIN),
                    at("add_orthoadamw_lr5e3", TEST),
                    "train minus test accuracy at the end",
                ),
                at_most(0.1),
            ),
        ),
    ),
)

MAIN = (*FIGURE_4, *FIGURE_6)
