"""More training data shortens the way to 99 % test accuracy, for the transformer most of all.

System 001, plot_fig1: transformer, MLP and LSTM on addition mod 97. Ours: the budget is 100,000
updates for all, in which the published epochs are counted (R4); a run ends where it is there (R5);
warm-up is linear (R3), loss and accuracy are of the full sets (R2).
"""

from dataclasses import replace
from typing import NamedTuple

from configuration.config import RunConfig
from experiment.claim import PICTURE, Claim, Less, Within, rising
from experiment.figure import Curve, Figure, Panel, Run
from experiment.quantity import TEST, delay
from related.presets import FRACTIONS, PKU, PKU_LSTM, PKU_MLP, warmed_run
from related.quantities import near, step_of


class Network(NamedTuple):
    """One of the networks: its runs, and its published epochs to 99 % test accuracy.

    `published` is {percent of the pairs: epochs} and leaves out the MLP at 30 %, over the stated
    budget of 1e5 updates, and the LSTM at 90 %, which the system itself leaves out.
    """

    preset: RunConfig
    cpu_steps: int
    on_cpu: tuple[int, ...]  # percents
    in_quick: tuple[int, ...]
    published: dict[int, int]


NETWORKS = {
    "transformer": Network(
        PKU, 6_000, (30, 40, 50, 70, 90), (50, 70, 90),
        {20: 2_160, 30: 605, 40: 291, 50: 127, 60: 86, 70: 59, 80: 41, 90: 37},
    ),
    "MLP": Network(
        PKU_MLP, 12_000, (70, 80, 90), (70, 90),
        {40: 7_840, 50: 4_126, 60: 2_022, 70: 500, 80: 158},
    ),
    "LSTM": Network(
        PKU_LSTM, 6_000, (50, 70, 80), (70, 90),
        {20: 14_688, 30: 4_446, 40: 986, 50: 266, 60: 251, 70: 109, 80: 85},
    ),
}  # fmt: skip
_QUICK = {"modulo": 31, "batch_size": 128, "num_steps": 1_200, "log_every": 25}


def _run(network: str, percent: int) -> Run:
    preset, cpu_steps, on_cpu, in_quick, _ = NETWORKS[network]
    return warmed_run(
        f"add_pku_{network.lower()}_{percent}",
        replace(preset, train_fraction=percent / 100, stop_at="test_accuracy", stop_level=0.99),
        _QUICK if percent in in_quick else None,
        cpu={"num_steps": cpu_steps} if percent in on_cpu else None,
    )


RUNS = {(network, percent): _run(network, percent) for network in NETWORKS for percent in FRACTIONS}


def _curve(network: str, percent: int) -> Curve:
    return Curve(run=RUNS[network, percent], label=network[0].upper() + network[1:])


PANELS = (
    Panel(
        id="architectures",
        title="Steps to 99 % test accuracy",
        kind="steps_to_level",
        curves=tuple(_curve(network, percent) for network, percent in RUNS),
    ),
    Panel(
        id="architectures 70 %",
        title="Addition mod 97, 70 %",
        kind="accuracy_log",
        curves=tuple(_curve(network, 70) for network in NETWORKS),
    ),
)

SOURCE = "001, plot_fig1, typed in epochs"


def _there(network: str, percent: int):
    return step_of(RUNS[network, percent], TEST, 0.99)


def published_steps(network: str, percent: int) -> int:
    """The published epochs in updates."""
    epochs = NETWORKS[network].published[percent]
    return epochs * RUNS[network, percent].config.steps_per_epoch


_PLATEAU = (
    "Three seeds were run: at 70 % they need 2,950 to 8,750 updates, at 80 % two need 2,750 and"
    " 2,050 and one stays at chance for its 12,000, as two do at 90 %. With the sum of the loss in"
    " another order the one at 80 % left the plateau by 1,500 and had 99 % at 4,600 (commit"
    " 365e0ca): rounding decides when this MLP begins to learn."
)


def _table_claim(network: str) -> Claim:
    published = NETWORKS[network].published
    epochs = {p: e for p, e in published.items() if p in NETWORKS[network].on_cpu}
    steps = {p: published_steps(network, p) for p in epochs}
    return Claim(
        panel="architectures",
        words=f"The {network} reaches 99 % at the published steps, within a factor of 2,"
        f" at {len(epochs)} of its fractions",
        paper=", ".join(f"{p} %: {e:,} epochs ({steps[p]:,} steps)" for p, e in epochs.items()),
        source=SOURCE,
        checks=tuple(Within(_there(network, p), near(s), f"{p} %") for p, s in steps.items()),
        size="cpu",
        remark=_PLATEAU if network == "MLP" else "",
    )


def _order_claim(network: str, *percents: int) -> Claim:
    return Claim(
        panel="architectures",
        words=f"More training data takes the {network} to 99 % in fewer steps",
        paper=", ".join(f"{published_steps(network, p):,} at {p} %" for p in percents),
        source=SOURCE,
        checks=rising({f"{p} %": _there(network, p) for p in reversed(percents)}),
        size="cpu",
        remark=_PLATEAU if network == "MLP" else "",
    )


_FASTEST_FIRST = ("transformer", "LSTM", "MLP")
CLAIMS = (
    *(_table_claim(network) for network in NETWORKS),
    _order_claim("transformer", 30, 40, 50, 70),
    _order_claim("MLP", 70, 80),
    _order_claim("LSTM", 50, 70, 80),
    Claim(
        panel="architectures",
        words="At 70 % the transformer is there before the LSTM, and that before the MLP",
        paper="{:,}, {:,} and {:,} steps".format(*(published_steps(n, 70) for n in _FASTEST_FIRST)),
        source=SOURCE,
        checks=rising({network: _there(network, 70) for network in _FASTEST_FIRST}),
        size="cpu",
    ),
    Claim(
        panel="architectures 70 %",
        words="From fitting to generalizing the transformer takes less time than the MLP",
        paper=f"at 50 %: MLP 50 epochs against {NETWORKS['MLP'].published[50]:,},"
        f" transformer 70 against {NETWORKS['transformer'].published[50]}",
        source=f"001, accuracy curves, {PICTURE}; held to at 70 %",
        checks=(
            Less(
                ("transformer", delay(RUNS["transformer", 70], 0.95)),
                ("MLP", delay(RUNS["MLP", 70], 0.95)),
            ),
        ),
        size="cpu",
    ),
)

FIGURE = Figure(
    id="architectures",
    title="Steps to 99 % test accuracy: transformer, MLP, LSTM",
    claim=(
        "More training data shortens the way to 99 % test accuracy, for the transformer most; at"
        " 10 % none gets there in 100,000 updates."
    ),
    panels=PANELS,
    checks=CLAIMS,
)
