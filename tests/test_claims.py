"""Verdicts follow from the metrics and from nothing else; the README says what the runs say.

The runs here are synthetic: a few rows of known numbers in real run folders.
"""

import re
import subprocess
import sys
from fractions import Fraction

import numpy
import pandas
import pytest

import claim_table
import claims
import runs
import verdicts
from claims import CLAIMS
from conftest import ROOT
from curves import RESULTS
from experiments import FIGURES, RUNS, find_run
from measures import (
    Never,
    NotMeasured,
    along_radius,
    at,
    combine,
    delay,
    drawn,
    drawn_slope,
    earliest,
    epoch_of_largest,
    first,
    fitted,
    frequencies,
    largest,
    largest_gap,
    minus,
    over,
    rate_after,
    show,
    smallest,
)
from metrics import COLUMNS
from session import Session
from verdicts import (
    Bound,
    Claim,
    Evidence,
    Less,
    Within,
    above,
    at_least,
    at_most,
    below,
    between,
    judge,
    rising,
    spread,
)

A, B = "add_orthoadamw", "add_stablemax"  # any two runs of the manifest


def write(root, run, seed=42, epochs=(0, 10, 20, 30), complete=True, **columns):
    """A run folder; step is twice the epoch, so that a measure in steps would show."""
    config = find_run(run).form("full", seed)[1]
    with runs.RunFolder(runs.run_folder(root, run, seed), config) as folder:
        for i, epoch in enumerate(epochs):
            row = {"step": 2 * epoch, "epoch": float(epoch)}
            folder.append(row | {c: float(values[i]) for c, values in columns.items()})
        if complete:
            folder.write_summary({"diverged_at_step": None})


@pytest.fixture
def places(tmp_path):
    """(own runs, published runs, Evidence over both)."""
    own, published = tmp_path / "own", tmp_path / "published"
    own.mkdir()
    published.mkdir()
    return own, published, Evidence(own, published)


def claim(*checks, panel="1a", **fields):
    given = {"words": "It holds", "paper": "about 20", "source": "Fig. 1a"} | fields
    return Claim(panel=panel, checks=checks, **given)


def table(**columns):
    rows = len(next(iter(columns.values())))
    return pandas.DataFrame({"epoch": [10.0 * i for i in range(rows)], **columns})


# ---------------------------------------------------------------------------------- measures


TABLES = {
    A: table(
        train_accuracy=[0.1, 0.5, 1.0, 1.0, 1.0],
        test_accuracy=[0.2, 0.0, 0.5, 0.7, 0.6],
        weight_norm=[2.0, 4.0, 8.0, 16.0, 12.0],
    ),
    B: table(test_accuracy=[0.25, 0.5, 0.75]),
}


@pytest.mark.parametrize(
    "quantity, value",
    [
        (first(A, "test_accuracy", 0.5), 20),  # the level itself counts
        (first(A, "test_accuracy", 0.51), 30),
        (first(A, "test_accuracy", 0.71), Never(40)),
        (first(B, "test_accuracy", 0.9), Never(20)),  # the end is the run's own
        (first(A, "test_accuracy", 0.1, falls=True), 10),
        (first(A, "test_accuracy", 0.6, since=31), 40),
        (first(A, "test_accuracy", 0.6, since=first(A, "weight_norm", 99)), Never(40)),
        (fitted(A), 20),
        (at(A, "test_accuracy"), 0.6),
        (at(A, "test_accuracy", 29), 0.5),
        (at(A, "test_accuracy", 30), 0.7),
        (at(A, "test_accuracy", 41), Never(40)),  # the run did not get there
        (at(A, "test_accuracy", fitted(A)), 0.5),
        (largest(A, "test_accuracy"), 0.7),
        (largest(A, "test_accuracy", until=20), 0.5),
        (largest(A, "weight_norm", since=31), 12),
        (largest(A, "weight_norm", since=50), Never(40)),
        (smallest(A, "test_accuracy"), 0.0),
        (smallest(A, "test_accuracy", since=fitted(A)), 0.5),
        (largest_gap(A, "train_accuracy", "test_accuracy"), 0.5),
        (largest_gap(A, "train_accuracy", "test_accuracy", until=0), -0.1),
        (epoch_of_largest(A, "weight_norm"), 30),
        (epoch_of_largest(A, "weight_norm", until=20), 20),
        (epoch_of_largest(A, "train_accuracy"), 20),  # the first of equals
        (at(A, "test_accuracy", epoch_of_largest(A, "weight_norm")), 0.7),
        (earliest("", fitted(A), first(B, "test_accuracy", 0.5), fitted(A)), 10),
        (earliest("", first(A, "weight_norm", 99), first(B, "test_accuracy", 0.7)), 20),
        (earliest("", first(B, "test_accuracy", 9), first(A, "weight_norm", 99)), Never(40)),
        (delay(A, 0.5), 10),  # train at 10, test at 20
        (delay(A, 0.9), Never(20)),  # train at 20, test not by 40: longer than 20
        (minus(at(A, "weight_norm"), at(A, "weight_norm", 0)), 10),
        (over(at(A, "weight_norm"), at(A, "weight_norm", 0)), 6),
        (over(at(A, "test_accuracy"), at(B, "test_accuracy", 0)), 2.4),
        (combine("", "number", max, at(A, "weight_norm"), at(B, "test_accuracy", 30)), Never(20)),
        # 0.3 gained in the 20 epochs before, 0.1 in the 20 after
        (rate_after(A, "test_accuracy", fitted(A)), 1 / 3),
        (rate_after(A, "weight_norm", first(A, "weight_norm", 16)), -4 / 10 / (14 / 30)),
        (rate_after(A, "test_accuracy", first(A, "weight_norm", 99)), Never(40)),
    ],
    ids=lambda v: v.words if hasattr(v, "words") else None,
)
def test_measure_is_the_value_worked_out_by_hand(quantity, value):
    found = quantity.of(TABLES)
    assert found == (value if isinstance(value, Never) else pytest.approx(value, rel=1e-12))
    assert set(quantity.runs) <= set(TABLES)


def test_a_ratio_to_nothing_is_undefined_and_no_error():
    zero = at(A, "test_accuracy", 10)
    for quantity in (
        over(at(A, "weight_norm"), zero),
        rate_after(A, "test_accuracy", first(A, "weight_norm", 0)),  # at the first row
        rate_after(A, "test_accuracy", first(A, "weight_norm", 0, since=40)),  # at the last row
    ):
        value = quantity.of(TABLES)
        assert value != value and show(value, quantity.unit) == "undefined"
        assert not at_most(1e9).holds(value) and not at_least(-1e9).holds(value)


def test_drawn_curves_are_those_of_definition_4():
    for x in (-4, -1.5, 0, 0.25, 4):
        exact = x + 1 if x >= 0 else Fraction(1) / (1 - Fraction(x))
        assert drawn("s(x)", x).of({}) == pytest.approx(float(exact), rel=1e-9)
    assert drawn("exp(x)", 1).of({}) == pytest.approx(2.718281828459045, rel=1e-9)
    assert drawn_slope("s(x)", 1, 1).of({}) == pytest.approx(1, rel=1e-9)
    assert drawn_slope("s(x)", 0, -1).of({}) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (0.98964, "percent", "98.96 %"),  # must not read 99
        (1 - 1 / 12769, "percent", "99.99 %"),  # nor this 100
        (1.0, "percent", "100 %"),
        (-0.00001, "points", "0 points"),
        (34500.0, "epoch", "34,500"),
        (3.846153846, "epoch", "3.8"),
        (33412.7, "number", "33,413"),
        (0.090123, "number", "0.09012"),
        (455.04, "factor", "455 times"),
        (Never(20000.0), "epoch", "not reached by 20,000"),
    ],
)
def test_values_are_shown_in_their_unit(value, unit, text):
    assert show(value, unit) == text


# ---------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "bound, inside, outside, words",
    [
        (at_most(0.5), [0.5, -1], [0.5000001], "at most 50 %"),
        (below(0.5), [0.4999999], [0.5], "below 50 %"),
        (at_least(0.5), [0.5, 9], [0.4999999], "at least 50 %"),
        (above(0.5), [0.5000001], [0.5], "above 50 %"),
        (between(0.25, 0.5), [0.25, 0.5], [0.2499999, 0.5000001], "25 % to 50 %"),
    ],
)
def test_bounds_include_their_ends_exactly_as_worded(bound, inside, outside, words):
    assert bound.text("percent") == words
    assert all(bound.holds(v) for v in inside)
    assert not any(bound.holds(v) for v in [*outside, Never(1), float("nan")])


@pytest.mark.parametrize("ends", [{}, {"low": 2.0, "high": 1.0}])
def test_a_bound_that_cannot_fail_or_cannot_hold_is_refused(ends):
    with pytest.raises(ValueError, match="give a limit"):
        Bound(**ends)


@pytest.mark.parametrize(
    "left, right, strict, equal",
    [
        (1, 2, True, True),
        (2, 2, False, True),
        (3, 2, False, False),
        (20, Never(20), True, True),  # later than the right run is long
        (21, Never(20), False, False),  # nothing is known past its end
        (0, Never(0), False, False),  # a delay that never began is later than nothing
        (Never(20), 30, False, False),
        (Never(20), Never(30), False, False),
        (float("nan"), 2, False, False),
    ],
)
def test_order_of_events_that_may_never_happen(left, right, strict, equal):
    sides = (("a", fitted(A)), ("b", fitted(B)))
    assert Less(*sides).holds((left, right)) is strict
    assert Less(*sides, equal=True).holds((left, right)) is equal


def test_rising_compares_neighbours_in_order():
    a, b, c = fitted(A), fitted(B), delay(A, 0.5)
    checks = rising({"a": a, "b": b, "c": c})
    assert [(x.left, x.right) for x in checks] == [(("a", a), ("b", b)), (("b", b), ("c", c))]
    assert checks[0].measured([(1, Never(7)), (3, Never(9))]) == (
        "a 1 to 3 < b not reached by 9 on 2 of 2 seeds"
    )


@pytest.mark.parametrize(
    "values, text",
    [
        ([120], "120"),
        ([120, 120], "120"),
        ([130, 110], "110 to 130"),
        ([130, 110, 112], "110 to 130 (median 112)"),
        ([1, 2, 4, 9], "1 to 9 (median 3)"),
        ([Never(500)], "not reached by 500"),
        ([Never(500), 110, Never(600)], "110, not reached by 600 on 2 of 3 seeds"),
        ([float("nan"), 5, 7], "5 to 7, undefined on 1 of 3 seeds"),
    ],
)
def test_several_seeds_are_shown_as_range_and_median(values, text):
    assert spread(values, "epoch") == text


# ---------------------------------------------------------------------------------- verdicts

EARLY = Within(first(A, "test_accuracy", 0.5), at_most(20), "early")
HIGH = Within(at(A, "test_accuracy"), at_least(0.9), "high")
GOOD, LATE, LOW, BAD = [0, 0, 0.5, 0.9], [0, 0, 0.4, 0.9], [0, 0, 0.5, 0.8], [0, 0, 0.1, 0.2]


@pytest.mark.parametrize(
    "seeds, checks, verdict, measured",
    [
        ([GOOD], [EARLY, HIGH], "reproduced", "early 20; high 90 %"),
        ([GOOD, GOOD], [EARLY, HIGH], "reproduced", "early 20; high 90 %"),
        ([BAD], [EARLY, HIGH], "not reproduced", "early not reached by 30; high 20 %"),
        ([BAD, BAD], [EARLY], "not reproduced", "early not reached by 30 on 2 of 2 seeds"),
        ([LATE], [EARLY, HIGH], "partly", "early 30 (fails); high 90 % (holds)"),
        ([LOW], [EARLY, HIGH], "partly", "early 20 (holds); high 80 % (fails)"),
        (
            [GOOD, LATE],
            [EARLY, HIGH],
            "partly",
            "early 20 to 30 (holds on 1 of 2 seeds); high 90 % (holds)",
        ),
        (
            [BAD, BAD, GOOD],
            [EARLY],
            "partly",
            "early 20, not reached by 30 on 2 of 3 seeds (holds on 1 of 3 seeds)",
        ),
        # One check holds on one seed, the other on the other: neither claim nor its contrary.
        (
            [LATE, LOW],
            [EARLY, HIGH],
            "partly",
            "early 20 to 30 (holds on 1 of 2 seeds); high 80 % to 90 % (holds on 1 of 2 seeds)",
        ),
    ],
)
def test_verdict_over_checks_and_seeds(seeds, checks, verdict, measured, places):
    own, _, evidence = places
    for seed, values in enumerate(seeds):
        write(own, A, seed, test_accuracy=values)
    found = judge(claim(*checks), evidence)
    assert (found.verdict, found.measured) == (verdict, measured)
    assert found.seeds == tuple(range(len(seeds)))


def test_without_a_complete_run_nothing_is_judged(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD, complete=False)
    found = judge(claim(EARLY), evidence)
    assert (found.verdict, found.measured) == ("not run", "not run")
    assert found.provenance == f"no complete run of {A}"


def test_a_claim_over_two_runs_needs_both_and_names_the_missing_one(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    assert (found.verdict, found.provenance) == ("not run", f"no complete run of {B}")


def test_a_claim_over_two_runs_is_judged_on_the_seeds_of_both(places):
    own, _, evidence = places
    for seed in (1, 2):
        write(own, A, seed, test_accuracy=GOOD if seed == 2 else BAD)
    for seed in (2, 3):
        write(own, B, seed, test_accuracy=LATE if seed == 2 else BAD)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    assert (found.verdict, found.measured) == ("reproduced", "a 20 < b 30")
    assert found.provenance == "seed 2 (your runs)"


def test_own_runs_come_before_published_ones(places):
    own, published, evidence = places
    write(published, A, 42, test_accuracy=BAD)
    assert judge(claim(EARLY), evidence).provenance == "seed 42 (published results)"
    write(own, A, 42, test_accuracy=GOOD)
    found = judge(claim(EARLY), Evidence(own, published))
    assert (found.verdict, found.provenance) == ("reproduced", "seed 42 (your runs)")


def test_own_and_published_runs_complete_each_other(places):
    own, published, evidence = places
    write(own, A, 7, test_accuracy=BAD)
    write(published, A, 42, test_accuracy=GOOD)
    write(published, B, 42, test_accuracy=LATE)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    assert (found.verdict, found.provenance) == ("reproduced", "seed 42 (published results)")


def test_only_the_seeds_a_claim_asks_for_are_looked_at(places):
    own, _, evidence = places
    write(own, A, 1, test_accuracy=GOOD)
    write(own, A, 2, test_accuracy=BAD)
    assert judge(claim(EARLY, seeds=(2,)), evidence).verdict == "not reproduced"
    assert judge(claim(EARLY), evidence).verdict == "partly"


def test_a_folder_of_another_configuration_is_no_evidence_and_is_said(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    path = runs.run_folder(own, A, 42) / runs.CONFIG
    path.write_text(path.read_text().replace('"lr": 0.01', '"lr": 0.02'))
    assert judge(claim(EARLY), evidence).verdict == "not run"
    assert "lr 0.02 -> 0.01" in next(iter(evidence.notes))


def test_frequencies_are_counted_in_the_table_beside_the_run(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    few = claim(Within(frequencies(A, "final", 0.9), at_most(0.5)), panel="12")
    found = judge(few, evidence)
    assert found.verdict == "not run" and "python spectrum.py own/" in found.provenance
    # Averaged over the operands: 0.6, 0.3, 0.06, 0.04; two of four hold 90 %.
    rows = [(o, k, 0.25, s) for o, shares in TWO_OPERANDS.items() for k, s in enumerate(shares, 1)]
    table = pandas.DataFrame(rows, columns=["operand", "frequency", "initial", "final"])
    table.to_csv(runs.run_folder(own, A, 42) / runs.SPECTRUM, index=False)
    found = judge(few, Evidence(own, places[1]))
    assert (found.verdict, found.measured) == ("reproduced", "50 %")
    even = claim(Within(frequencies(A, "initial", 0.9), at_least(1)))
    assert judge(even, Evidence(own, places[1])).measured == "100 %"


TWO_OPERANDS = {"first": [0.9, 0.0, 0.06, 0.04], "second": [0.3, 0.6, 0.06, 0.04]}

# ---------------------------------------------------------------------------------- sizes

SMALL, SAME = "s5_toth_30", "s5_toth_50"  # one has a CPU form of its own, the other has not


def write_size(root, run, size, **columns):
    name, config = find_run(run).form(size, 42)
    with runs.RunFolder(runs.run_folder(root, name, 42), config) as folder:
        for i in range(4):
            row = {"step": 14 * i, "epoch": float(i)}
            folder.append(row | {c: float(values[i]) for c, values in columns.items()})
        folder.write_summary({"diverged_at_step": None})


def test_a_claim_is_held_against_runs_of_its_size_and_says_so(places):
    _, published, evidence = places
    write_size(published, SMALL, "full", test_accuracy=BAD)
    write_size(published, SMALL, "cpu", test_accuracy=GOOD)
    write_size(published, SAME, "full", test_accuracy=GOOD)
    high = Within(at(SMALL, "test_accuracy"), at_least(0.9))
    both = Less(("a", at(SMALL, "test_accuracy")), ("b", at(SAME, "test_accuracy")), equal=True)
    full, cpu = (judge(claim(high, panel="s5", size=s), evidence) for s in ("full", "cpu"))
    assert (full.verdict, cpu.verdict) == ("not reproduced", "reproduced")
    assert full.provenance == "seed 42 (published results)"
    assert cpu.provenance == "cpu size, seed 42 (published results)"
    assert "cpu size, seed 42 (published results)" in claim_table.cells(cpu)
    assert judge(claim(both, panel="s5", size="cpu"), evidence).verdict == "reproduced"


def test_a_missing_run_is_named_with_its_size(places):
    high = Within(at(SMALL, "test_accuracy"), at_least(0.9))
    found = judge(claim(high, panel="s5 30 %", size="cpu"), places[2])
    assert found.provenance == "no complete run of cpu/s5_toth_30"
    none = Within(at("add_pku_lstm_10", "test_accuracy"), at_least(0.9))
    other = judge(claim(none, panel="architectures", size="cpu"), places[2])
    assert other.provenance == "no complete run of add_pku_lstm_10 (has no cpu size)"
    assert claim_table.missing_commands([found, judge(claim(EARLY), places[2]), other]) == [
        "./run_main_experiments.sh --figures s5,architectures --size cpu",
        "./run_main_experiments.sh --figures 1",
    ]
    with pytest.raises(ValueError, match="unknown size 'tiny'"):
        claim(EARLY, size="tiny")


@pytest.mark.parametrize(
    "panel, figure",
    [("1a", "1"), ("12", "12"), ("4 left", "4"), ("controls 1a", "controls"), ("s5 30 %", "s5"),
     ("delay-map steps", "delay-map"), ("k-sum 3", "k-sum"), ("mnist mse", "mnist")],
)  # fmt: skip
def test_a_panel_belongs_to_its_figure(panel, figure):
    assert claim(EARLY, panel=panel).figure == figure


def test_related_claims_have_a_document_of_their_own(places, tmp_path, capsys):
    _, published, _ = places
    write_size(published, SAME, "full", test_accuracy=GOOD)
    related = (claim(Within(at(SAME, "test_accuracy"), at_least(0.9)), panel="s5 50 %"),)
    readme, document = tmp_path / "README.md", tmp_path / "RELATED.md"
    for path in (readme, document):
        path.write_text(f"before\n{claim_table.BEGIN}\n{claim_table.END}\nafter\n")

    def table_main(*argv):
        options = {"related": related, "readme": readme, "related_readme": document}
        return claim_table.main(CHOSEN, [*argv, "--published"], results_root=published, **options)

    before = readme.read_text()
    assert table_main("--related", "--check-readme") == 1
    assert "RELATED.md and the runs disagree; python claims.py --related" in capsys.readouterr().out
    assert table_main("--related", "--write-readme") == 0
    assert "RELATED.md written" in capsys.readouterr().out
    text = document.read_text()
    assert "1 claim: 1 reproduced" in text and "python claims.py --related --write-readme" in text
    assert text.startswith("before") and text.endswith("after\n")
    assert readme.read_text() == before
    assert table_main("--related", "--check-readme") == 0
    for argv, said in (
        (["--related", "--figures", "99"], "unknown figure '99'; choose from s5"),
        (["--related", "--figures", "1"], "figure '1' stands in the other table; add or drop"),
        (["--figures", "s5"], "figure 's5' stands in the other table; add or drop --related"),
    ):
        assert table_main(*argv) == 2
        assert said in capsys.readouterr().err


# ---------------------------------------------------------------------------------- the claims


def ids(claims):
    return [f"{c.panel} {c.words}" for c in claims]


@pytest.mark.parametrize("one", CLAIMS, ids=ids(CLAIMS))
def test_claim_is_complete(one):
    assert one.figure in FIGURES
    assert one.checks and set(one.runs) <= set(RUNS)
    assert one.runs or one.figure == "3"
    assert one.words and one.source and one.paper
    assert re.search(r"\d|<|≤", one.held_to)


def test_claims_are_told_apart():
    assert len(set(ids(CLAIMS))) == len(CLAIMS)
    for one in CLAIMS:
        seen = [(c.label, c.limit, c.subject) for c in one.checks]
        assert len(set(seen)) == len(seen)
        if len({c.subject for c in one.checks}) < len(one.checks):
            assert all(c.label or isinstance(c, Less) for c in one.checks)


def test_every_figure_of_the_manifest_has_claims_in_its_order():
    figures = [c.figure for c in CLAIMS]
    assert list(dict.fromkeys(figures)) == list(FIGURES)
    for figure, least in {"1": 7, "2": 8, "3": 2, "4": 5, "6": 6}.items():
        assert figures.count(figure) >= least, figure


def rising_run(config, columns, folder):
    """A table in which every column rises from 0.05 to 1 over a fifth of the run's epochs."""
    epochs = numpy.unique([*range(0, config.num_epochs, config.log_frequency), config.num_epochs])
    ramp = (0.05 + 5 * epochs / config.num_epochs).clip(max=1)
    table = pandas.DataFrame({"epoch": epochs.astype(float), **dict.fromkeys(columns, ramp)})
    table.attrs["folder"] = folder
    return table


def read_by(one, folder):
    """({run: columns the claim reads}, values of its checks) on rising runs of the full length."""
    columns = set()
    while True:
        tables = {r: rising_run(RUNS[r].config, columns, folder) for r in one.runs}
        try:
            return columns, [q.of(tables) for c in one.checks for q in c.quantities]
        except KeyError as missing:
            columns.add(missing.args[0])


def write_path(folder, run, steps, a, b):
    """landscape_paths.csv of one run; its weights point along the first direction."""
    rows = {"step": steps, "a": a, "b": b, "radial_a": 0.5, "radial_b": 0.0, "run": run}
    pandas.DataFrame(rows).to_csv(folder / runs.PATHS, index=False)


def test_moves_along_the_radius_count_from_the_fitted_network_on(tmp_path):
    # Before it is fitted the path goes inwards; then twice at 60 degrees, once outwards.
    steps, root = [0, 100, 200, 300, 400, 500], 3**0.5
    write_path(tmp_path, "r", steps, [9, 5, 0, 1, 2, 4], [0, 0, 0, root, 2 * root, 2 * root])
    table = pandas.DataFrame({"epoch": [0, 200], "train_accuracy": [0.5, 1.0]})
    table.attrs["folder"] = tmp_path
    assert along_radius("r", "r").of({"r": table}) == pytest.approx(0.5)
    table["train_accuracy"] = 0.9
    assert along_radius("r", "r").of({"r": table}) == Never(by=200)
    (tmp_path / runs.PATHS).unlink()
    with pytest.raises(NotMeasured, match="--figures 7 makes it"):
        along_radius("r", "r").of({"r": table})


@pytest.mark.parametrize("one", CLAIMS, ids=ids(CLAIMS))
def test_claim_reads_what_its_runs_record_and_asks_for_epochs_that_they_have(one, tmp_path):
    shares = pandas.DataFrame({"frequency": [1, 2, 3], "initial": 1 / 3, "final": 1 / 3})
    shares.to_csv(tmp_path / runs.SPECTRUM)
    write_path(tmp_path, one.runs[0] if one.runs else "", [10**6, 10**7], [0, 1], [0, 0])
    columns, values = read_by(one, tmp_path)
    # Every level is reached in these runs: a Never is an epoch past the end of the run.
    assert all(not isinstance(v, Never) and numpy.isfinite(v) for v in values)
    for config in (RUNS[r].config for r in one.runs):
        recorded = set(COLUMNS)
        if not config.log_nlm_cosine:
            recorded.discard("nlm_cosine")
        if not config.log_absorption:
            recorded -= {"update_absorbed", "zero_gradients"}
        assert {c.partition("/")[0] for c in columns} <= recorded
        tensors = {c.partition("/")[2] for c in columns} - {""}
        if tensors:
            network = Session(config).model
            assert tensors <= {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("one", CLAIMS, ids=ids(CLAIMS))
def test_published_runs_give_every_claim_a_number(one):
    """Whatever the verdict: where the runs are there, the columns are, and there is a value."""
    complete = [bool(list(RESULTS.glob(f"{run}/seed_*/{runs.SUMMARY}"))) for run in one.runs]
    if one.figure == "12":  # has to be made beside the run, from its weights
        complete += [bool(list(RESULTS.glob(f"{r}/seed_*/{runs.SPECTRUM}"))) for r in one.runs]
    found = judge(one, Evidence(ROOT / "no such folder", RESULTS))
    assert (found.verdict != "not run") is all(complete)
    if all(complete):
        assert re.search(r"\d", found.measured) and "undefined" not in found.measured


# ---------------------------------------------------------------------------------- README

MARKS = f"{claim_table.BEGIN}\n{claim_table.END}\n"
CHOSEN = (claim(EARLY), claim(HIGH, panel="6b", words="Second | claim"))


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Title ⊥\n\nbefore  \n{MARKS}\nafter\n")
    return path


@pytest.fixture
def table_main(places, readme):
    """`python claims.py` on CHOSEN, with the synthetic runs."""
    own, published, _ = places
    write(own, A, test_accuracy=LATE)

    def call(*argv):
        argv = [*argv, "--runs", str(own)] if "--published" not in argv else list(argv)
        return claim_table.main(CHOSEN, argv, readme=readme, results_root=published)

    return call


def test_readme_is_written_between_the_marks_and_nothing_else_changes(table_main, readme):
    assert table_main("--write-readme") == 0
    once = readme.read_text()
    assert once.startswith(f"# Title ⊥\n\nbefore  \n{claim_table.BEGIN}\n")
    assert once.endswith(f"{claim_table.END}\n\nafter\n")
    row = next(line for line in once.split("\n") if line.startswith("| 1a "))
    for text in ("It holds", "about 20 [Fig. 1a]", "≥ 50 %: at most 20", "early 30", "seed 42"):
        assert text in row
    assert row.endswith("| not reproduced |")
    assert "Second \\| claim" in once  # would be another column
    assert "2 claims: 1 reproduced, 1 not reproduced" in once
    for verdict, meaning in verdicts.VERDICTS.items():
        assert f"**{verdict}**: {meaning}" in once
    assert table_main("--write-readme") == 0
    assert readme.read_text() == once


def test_readme_names_what_is_not_run_apart_from_the_table(readme, places):
    own, published, _ = places
    argv = ["--write-readme", "--runs", str(own)]
    assert claim_table.main(CHOSEN, argv, readme=readme, results_root=published) == 0
    table, apart = readme.read_text().split("<details>")
    assert "It holds" not in table and "2 claims: 2 not run" in table
    assert f"| 1a | It holds | no complete run of {A} |" in apart


def test_check_readme_passes_after_write_and_notices_a_changed_number(table_main, readme, capsys):
    assert table_main("--check-readme") == 1  # nothing written yet
    table_main("--write-readme")
    assert table_main("--check-readme") == 0
    capsys.readouterr()
    readme.write_text(readme.read_text().replace("early 30", "early 20"))
    changed = readme.read_text()
    assert table_main("--check-readme") == 1
    assert "early 20" in capsys.readouterr().out
    assert readme.read_text() == changed  # a check writes nothing


def test_check_readme_notices_changed_runs(table_main, readme, places):
    own = places[0]
    table_main("--write-readme")
    write(own, A, 43, test_accuracy=LATE)
    assert table_main("--check-readme") == 1


def test_published_leaves_own_runs_out(table_main, places, capsys):
    published = places[1]
    assert table_main("--published") == 0
    assert "2 claims: 2 not run" in capsys.readouterr().out
    write(published, A, 5, test_accuracy=GOOD)
    assert table_main("--published") == 0
    assert "2 claims: 2 reproduced" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, said",
    [
        (None, "does not exist"),
        ("nothing\n", f"no {claim_table.BEGIN} line"),
        (f"{claim_table.BEGIN}\n", f"no {claim_table.END} line"),
        (MARKS + MARKS, f"2 {claim_table.BEGIN} line"),
        (f"{claim_table.END}\n{claim_table.BEGIN}\n", "before"),
        (f"write {claim_table.BEGIN}\n{claim_table.END}\n", f"no {claim_table.BEGIN} line"),
    ],
)
@pytest.mark.parametrize("flag", ["--write-readme", "--check-readme"])
def test_missing_marks_are_said_in_one_line(flag, text, said, table_main, readme, capsys):
    readme.unlink() if text is None else readme.write_text(text)
    assert table_main(flag) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and claim_table.BEGIN in error
    assert (readme.read_text() if readme.exists() else None) == text


# ---------------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--figures", "99"], "unknown figure '99'; choose from 1, 2, 3, 4"),
        (["--figures"], "choose from 1, 2, 3, 4"),
        (["--figures", "1", "--write-readme"], "drop --figures"),
        (["--figures", "1", "--check-readme"], "drop --figures"),
        (["--runs", "no/such/folder"], "'no/such/folder' is no folder"),
        (["--runs", ".", "--published"], "drop it or --runs"),
        (["--figure", "1"], "did you mean --figures?"),
        (["--runs"], "expected one argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(argv, said, capsys):
    try:
        code = claim_table.main(CLAIMS, argv)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and said in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [["1,3"], ["1 3"], ["1", "3"]])
def test_figures_may_be_listed_in_any_of_three_ways(words):
    chosen = claim_table.select(CLAIMS, words)
    assert {c.figure for c in chosen} == {"1", "3"}
    assert chosen == [c for c in CLAIMS if c.figure in ("1", "3")]


def test_command_prints_every_claim_of_the_asked_figures_without_loading_torch(tmp_path):
    check = "import claims, sys; claims.main(claims.CLAIMS); print('torch' in sys.modules)"
    command = [sys.executable, "-c", check, "--figures", "3,6", "--runs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    *lines, torch_loaded = done.stdout.strip().split("\n")
    assert torch_loaded == "False"
    panels = [line.split("|")[0].strip() for line in lines[2:] if "|" in line]
    wanted = [c for c in claims.CLAIMS if c.figure in ("3", "6")]
    said = " ".join(p for p in panels if p)
    assert said == " ".join(c.panel for c in wanted)


def test_delay_that_did_not_end_is_known_only_from_its_own_beginning(tmp_path):
    def table(train, test):
        return pandas.DataFrame(
            {
                "step": [0, 100, 900, 1000],
                "epoch": [0, 100, 900, 1000],
                "train_accuracy": train,
                "test_accuracy": test,
            }
        )

    ended = delay("a", 0.95).of({"a": table([0, 1, 1, 1], [0, 0, 1, 1])})
    late = delay("a", 0.95).of({"a": table([0, 0, 1, 1], [0, 0, 0, 0])})
    never = delay("a", 0.95).of({"a": table([0, 0, 0, 0], [0, 0, 0, 0])})
    assert ended == 800
    assert late == Never(by=100) and never == Never(by=0)
    assert str(never) == "training accuracy not reached by 1,000"


def test_rise_after_a_fall_is_not_a_stop(tmp_path):
    epochs = [0, 2000, 20000]
    table = pandas.DataFrame(
        {"step": epochs, "epoch": epochs, "test_accuracy": [0.0102, 0.005, 0.6],
         "softmax_collapse": [0.0, 0.6, 1.0]}
    )  # fmt: skip
    event = first("a", "softmax_collapse", 0.5)
    value = rate_after("a", "test_accuracy", event).of({"a": table})
    assert value != value  # undefined, so it fails every bound
