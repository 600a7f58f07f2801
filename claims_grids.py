"""Claims of the related systems' grids: architectures, optimizers, delay map, dimension.

As in claims.py. Bounds are the published numbers within a factor of 2, unless the words say
otherwise. `size` says of which form of the runs: the CPU size of a grid has fewer cells, and where
it has another modulus the published numbers are not its own, and only orders are held to.
"""

from checks import (
    PICTURE,
    Claim,
    Less,
    Within,
    above,
    at_least,
    at_most,
    below,
    between,
    rising,
)
from manifest_grids import DIMENSION_RUNS
from measures import TEST, delay
from measures_related import BAND
from quantities_related import (
    agreement,
    best,
    delay_of,
    drop_of,
    fall_of,
    lead_of,
    midway,
    missed,
    plateau_of,
    rise_of,
    step_of,
)


def near(low: float, high: float | None = None):
    """Within a factor of 2 of a published number or range."""
    return between(low / 2, 2 * (high or low))


# ---------------------------------------------------------------------------------- architectures

# Published epochs and steps to 99 % test accuracy per percent of the pairs; the steps follow from
# the epochs at 512 examples an update. Left out: the MLP at 30 %, over the stated budget of 1e5,
# and the LSTM at 90 %, which the system itself leaves out.
PUBLISHED = {
    "transformer": {20: (2_160, 8_640), 30: (605, 3_630), 40: (291, 2_328), 50: (127, 1_270),
                    60: (86, 1_032), 70: (59, 767), 80: (41, 615), 90: (37, 629)},
    "mlp": {40: (7_840, 62_720), 50: (4_126, 41_260), 60: (2_022, 24_264), 70: (500, 6_500),
            80: (158, 2_370)},
    "lstm": {20: (14_688, 58_752), 30: (4_446, 26_676), 40: (986, 7_888), 50: (266, 2_660),
             60: (251, 3_012), 70: (109, 1_417), 80: (85, 1_275)},
}  # fmt: skip
NETWORKS = {"transformer": "transformer", "mlp": "MLP", "lstm": "LSTM"}
CPU_PERCENTS = {"transformer": (30, 40, 50, 70, 90), "mlp": (70, 80), "lstm": (50, 70, 80)}
FIG_1 = "001, plot_fig1, typed in epochs"


def architecture(network: str, percent: int) -> str:
    return f"add_pku_{network}_{percent}"


def there(network: str, percent: int):
    return step_of(architecture(network, percent), TEST, 0.99)


def _table_claim(network: str, size: str) -> Claim:
    percents = CPU_PERCENTS[network] if size == "cpu" else PUBLISHED[network]
    numbers = {p: PUBLISHED[network][p] for p in percents}
    which = f"at {len(numbers)} of " if size == "cpu" else "at all "
    return Claim(
        panel="architectures",
        words=f"The {NETWORKS[network]} reaches 99 % at the published steps, within a factor of 2,"
        f" {which}its fractions",
        paper=", ".join(f"{p} %: {e:,} epochs ({s:,} steps)" for p, (e, s) in numbers.items()),
        source=FIG_1,
        checks=tuple(
            Within(there(network, p), near(steps), f"{p} %") for p, (_, steps) in numbers.items()
        ),
        size=size,
    )


ARCHITECTURES = (
    *(_table_claim(network, "cpu") for network in NETWORKS),
    *(
        Claim(
            panel="architectures",
            words=f"More training data takes the {NETWORKS[network]} to 99 % in fewer steps",
            paper=", ".join(f"{PUBLISHED[network][p][1]:,} at {p} %" for p in percents),
            source=FIG_1,
            checks=rising({f"{p} %": there(network, p) for p in reversed(percents)}),
            size="cpu",
        )
        for network, percents in (("transformer", (30, 40, 50, 70)), ("mlp", (70, 80)),
                                  ("lstm", (50, 70, 80)))
    ),
    Claim(
        panel="architectures",
        words="At 70 % the transformer is there before the LSTM, and that before the MLP",
        paper="767, 1,417 and 6,500 steps",
        source=FIG_1,
        checks=rising({NETWORKS[n]: there(n, 70) for n in ("transformer", "lstm", "mlp")}),
        size="cpu",
    ),
    Claim(
        panel="architectures 70 %",
        words="From fitting to generalizing the transformer takes less time than the MLP",
        paper="at 50 %: MLP 50 epochs against 4,126, transformer 70 against 127",
        source=f"001, accuracy curves, {PICTURE}; held to at 70 %",
        checks=(
            Less(
                ("transformer", delay(architecture("transformer", 70), 0.95)),
                ("MLP", delay(architecture("mlp", 70), 0.95)),
            ),
        ),
        size="cpu",
    ),
    Claim(
        panel="architectures",
        words="With 10 % of the pairs none of the networks gets there",
        paper="not reached in 100,000 updates",
        source="001, plot_fig1, red triangles",
        checks=(
            Within(
                missed("share of networks without 99 %", *(there(n, 10) for n in NETWORKS)),
                at_least(1),
            ),
        ),
    ),
    *(_table_claim(network, "full") for network in NETWORKS),
)  # fmt: skip

# ---------------------------------------------------------------------------------- optimizers

FIG_2 = "001, plot_fig2, best accuracy within 10,000 epochs"
SMALL = f"{FIG_2}; held to at the CPU size: smaller batches, 5,000 updates, SGD at a larger lr"


def arm(name: str, percent: int):
    """The best test accuracy of an optimizer arm."""
    return best(f"add_pku_{name}_{percent}")


OPTIMIZERS = (
    Claim(
        panel="optimizers",
        words="AdamW with weight decay 1 and Adam generalize from half of the pairs on",
        paper="100 % from 20 % of the pairs on",
        source=SMALL,
        checks=tuple(
            Within(arm(name, p), at_least(0.99), f"{label} {p} %")
            for name, label in (("adamw", "AdamW"), ("adam", "Adam"))
            for p in (50, 70)
        ),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="AdamW generalizes at a fraction where SGD, with momentum or without, does not",
        paper="at 30 %: 100 % against 3.98 % and 2.35 %",
        source=SMALL,
        checks=(
            Within(arm("adamw", 30), at_least(0.99), "AdamW"),
            Within(arm("sgd", 30), below(0.5), "SGD"),
            Within(arm("sgd_momentum", 30), below(0.5), "momentum"),
        ),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="SGD needs more data: its best accuracy rises with the fraction",
        paper="3.98 %, 89.42 %, 100 % at 30, 50, 70 %",
        source=SMALL,
        checks=rising({f"{p} %": arm("sgd", p) for p in (30, 50, 70)}),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="Momentum 0.9 does not help SGD",
        paper="63.51 % against 89.42 % at 50 %",
        source=SMALL,
        checks=(
            Less(("momentum", arm("sgd_momentum", 50)), ("SGD", arm("sgd", 50)), equal=True),
        ),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="A tenth of the learning rate and dropout 0.1 need more data than AdamW alone",
        paper="at 30 %: 2.40 % and 7.20 % against 100 %; at 50 % all 100 %",
        source=SMALL,
        checks=(
            *rising({"lr / 10, 30 %": arm("adam_lr1e4", 30), "AdamW, 30 %": arm("adamw", 30)}),
            *rising({"dropout, 30 %": arm("adamw_dropout", 30), "AdamW, 30 %": arm("adamw", 30)}),
            Within(arm("adam_lr1e4", 50), at_least(0.95), "lr / 10, 50 %"),
            Within(arm("adamw_dropout", 50), at_least(0.95), "dropout, 50 %"),
        ),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="With 20 % AdamW and Adam generalize, the other four arms stay near chance",
        paper="100 %, 100 % against 1.94, 1.20, 1.30, 1.73 % (SGD, momentum, lr / 10, dropout)",
        source=FIG_2,
        checks=(
            Within(arm("adamw", 20), at_least(0.99), "AdamW"),
            Within(arm("adam", 20), at_least(0.99), "Adam"),
            *(
                Within(arm(name, 20), at_most(0.04), label)
                for name, label in (("sgd", "SGD"), ("sgd_momentum", "momentum"),
                                    ("adam_lr1e4", "lr / 10"), ("adamw_dropout", "dropout"))
            ),
        ),
    ),
    Claim(
        panel="optimizers",
        words="SGD comes to the published accuracies, within 15 points",
        paper="10.18 %, 89.42 %, 99.95 % at 40, 50, 60 %",
        source=FIG_2,
        checks=tuple(
            Within(arm("sgd", p), between(max(v - 0.15, 0), min(v + 0.15, 1)), f"{p} %")
            for p, v in ((40, 0.1018), (50, 0.8942), (60, 0.9995))
        ),
    ),
)  # fmt: skip

# ---------------------------------------------------------------------------------- delay map

MAPS = f"002, delay heat maps, {PICTURE}"
CONTRADICTING = (
    "2.8K, in steps: 13.7k at batch 8 (ratio 350) against 19.6k at 128, 23.3k at 512; in the band"
    " the maps in steps and epochs contradict each other, so that only the order is held to"
)
# {modulus: batch sizes} of the CPU size with training-set size / batch size in the band, and not.
IN_BAND = {47: (8,), 97: (8, 32), 197: (32, 128)}
OUTSIDE = {47: (32, 128, 512), 97: (128, 512), 197: (8, 512)}


def cell(modulus: int, batch: int, unit: str = "step"):
    """The delay of the plain run of a cell: no noise, initial scale 1, weight decay 1."""
    return delay_of(f"div_power_p{modulus}_b{batch}", unit=unit)


def _band_claim(unit: str) -> Claim:
    def middle(batches, modulus, place):
        words = f"median delay in {unit}s over the batch sizes, p = {modulus}"
        return place, midway(words, *(cell(modulus, b, unit) for b in batches[modulus]))

    shortest = "12.6 to 47.6 in the band" if unit == "epoch" else CONTRADICTING
    return Claim(
        panel=f"delay-map {unit}s",
        words=f"The delay in {unit}s is short where training size / batch size is"
        f" {BAND[0]} to {BAND[1]}",
        paper=shortest + (", 855 to 10.2k outside of it (2.8K)" if unit == "epoch" else ""),
        source=MAPS,
        checks=tuple(
            Less(middle(IN_BAND, p, f"p = {p}, band"), middle(OUTSIDE, p, "outside"))
            for p in IN_BAND
        ),
        size="cpu",
    )


DELAY_MAP = (
    _band_claim("step"),
    _band_claim("epoch"),
    Claim(
        panel="delay-map epochs",
        words="For one training-set size the delay in epochs grows with the batch size",
        paper="2.8K: 47.6, 365, 855, 3.7k at 8, 32, 128, 512",
        source=MAPS,
        checks=rising({f"batch {b}": cell(97, b, "epoch") for b in (8, 32, 128, 512)}),
        size="cpu",
    ),
    Claim(
        panel="delay-map steps",
        words="At p = 47 the band fails: the longest delays in steps are at the smallest batch",
        paper="0.6K: 57.4k at batch 4 (ratio 162) against 24.8k at 1,024; n about 1",
        source=MAPS,
        checks=rising({"batch 1,024": cell(47, 1024), "batch 4": cell(47, 4)}),
    ),
    Claim(
        panel="delay-map steps",
        words="Outside of the band the delay in steps is as published, within a factor of 2",
        paper="2.8K: 19.6k, 23.3k, 31.5k at 128, 512, 1,024; 12K: 22.6k, 24.5k at 512, 1,024",
        source=MAPS,
        checks=tuple(
            Within(cell(p, b), near(steps), f"p = {p}, batch {b:,}")
            for p, b, steps in ((97, 128, 19_600), (97, 512, 23_300), (97, 1024, 31_500),
                                (197, 512, 22_600), (197, 1024, 24_500))
        ),
    ),
)  # fmt: skip

# ---------------------------------------------------------------------------------- dimension

FIGURE_004 = f"004, figure of accuracies and dimension, {PICTURE}"
ON_CPU = (20, 40, 50)


def lid(percent: int) -> str:
    return f"add_lid_{percent}"


def _interval(percent: int) -> int:
    """Steps between two measurements: a lead that is not longer has no sign."""
    return DIMENSION_RUNS[percent].at("cpu").log_dimension


def _agreement(percents) -> Within:
    pairs = ((drop_of(lid(p)), rise_of(lid(p))) for p in percents)
    words = "share of fractions where dimension and test accuracy both move, or neither"
    return Within(agreement(words, *pairs), at_least(1))


DIMENSION = (
    Claim(
        panel="dimension",
        words="The dimension falls by a quarter at least in runs whose test accuracy rises",
        paper="from 12 to 18 down to 5 to 5.5 (at 35 % and more): by a half and more",
        source=FIGURE_004,
        checks=tuple(Within(fall_of(lid(p)), at_least(0.25), f"{p} %") for p in (40, 50)),
        size="cpu",
    ),
    Claim(
        panel="dimension",
        words="The dimension falls in just those runs in which test accuracy rises",
        paper="falls at 20 % and more, keeps about 18.5 at 10 and 15 %, which do not grok",
        source=FIGURE_004,
        checks=(_agreement(ON_CPU),),
        size="cpu",
    ),
    Claim(
        panel="dimension",
        words="The dimension falls earlier for larger fractions",
        paper="bends near 30,000 at 20 %; down by 4,000 to 8,000 at 35 % and more",
        source=FIGURE_004,
        checks=rising({f"{p} %": drop_of(lid(p)) for p in reversed(ON_CPU)}),
        size="cpu",
    ),
    Claim(
        panel="dimension lead",
        words="The fall predicts grokking: it comes before the rise of test accuracy",
        paper="“predicts” in the abstract, no number; later: detects, coincides with the onset",
        source="004, README and abstract; definitions are ours",
        checks=tuple(Within(lead_of(lid(p)), above(_interval(p)), f"{p} %") for p in (40, 50)),
        size="cpu",
    ),
    Claim(
        panel="dimension",
        words="With 10 and 15 % neither test accuracy nor dimension moves by 60,000 steps",
        paper="dimension about 18.5, test accuracy about the fraction, throughout",
        source=FIGURE_004,
        checks=tuple(
            check
            for p in (10, 15)
            for check in (
                Within(fall_of(lid(p)), at_most(0.1), f"{p} %"),
                Within(best(lid(p)), at_most(2 * p / 100), f"{p} %"),
            )
        ),
    ),
    Claim(
        panel="dimension",
        words="Half of the test set is right at the published steps, within a factor of 2",
        paper="35,000 at 20 %, 15,000 to 16,000 at 25 %",
        source=FIGURE_004,
        checks=(
            Within(step_of(lid(20), TEST, 0.5), near(35_000), "20 %"),
            Within(step_of(lid(25), TEST, 0.5), near(15_000, 16_000), "25 %"),
        ),
    ),
    Claim(
        panel="dimension",
        words="With 40 and 50 % the test set is right at the published steps, within a factor of 2",
        paper="about 100 % by 4,000 to 8,000 (35 % and more)",
        source=FIGURE_004,
        checks=tuple(
            Within(step_of(lid(p), TEST, 0.99), near(4_000, 8_000), f"{p} %") for p in (40, 50)
        ),
        size="cpu",
    ),
    Claim(
        panel="dimension",
        words="Before it rises test accuracy waits near the trained fraction, not at chance",
        paper="at about the fraction: a random split gives away mirrored pairs",
        source=f"{FIGURE_004}; within a factor of 2",
        checks=tuple(Within(plateau_of(lid(p)), near(p / 100), f"{p} %") for p in ON_CPU),
        size="cpu",
    ),
)  # fmt: skip

GRIDS = (*ARCHITECTURES, *OPTIMIZERS, *DELAY_MAP, *DIMENSION)
