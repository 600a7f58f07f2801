"""The claims speak of runs, columns and epochs that their figures have."""

import re

import numpy
import pandas
import pytest
from house import CATALOG, CLAIMS, PAPER_RUNS, RELATED_CLAIMS
from made_runs import EARLY, HIGH, LATE, A, claim, derive, write, write_path

from configuration import runs
from conftest import ROOT
from experiment.claim import Less
from experiment.quantity import TIMES, Never, NotMeasured, show
from judging import tables
from judging.verdicts import Evidence, judge
from metrics import COLUMNS
from paper.figure_12 import effective_frequencies
from plotting.curves import RESULTS
from related import remedies
from training.session import Session

EVERY = [*CLAIMS, *RELATED_CLAIMS]
PUBLISHED = Evidence(ROOT / "no such folder", RESULTS)  # one: it reads each run once
SETS = {f"{name}_{of}": name for name in ("train", "test") for of in ("loss", "accuracy")}


def ids(claims):
    return [f"{c.panel} {c.words}" for c in claims]


@pytest.mark.parametrize("one", EVERY, ids=ids(EVERY))
def test_claim_is_complete_and_its_runs_have_its_size(one):
    assert one.words and one.paper and one.source and one.checks
    assert re.search(r"\d|<|≤", one.held_to)
    assert one.runs or one.figure == "3"
    assert all(run.kept_as(one.size) for run in one.runs)


@pytest.mark.parametrize("one", EVERY, ids=ids(EVERY))
def test_claim_belongs_to_a_figure_and_speaks_of_its_runs(one):
    figure = CATALOG.all[one.figure]
    if figure.id in CATALOG.paper:  # may compare with what another figure shows
        assert set(one.runs) <= set(PAPER_RUNS.values())
    else:
        assert set(one.runs) <= set(figure.runs)
        assert one.panel in {figure.id, *(p.id for p in figure.panels)}


def test_claims_are_told_apart():
    assert len(set(ids(EVERY))) == len(EVERY)
    for one in EVERY:
        seen = [(c.label, c.limit, c.subject) for c in one.checks]
        assert len(set(seen)) == len(seen)
        if len({c.subject for c in one.checks}) < len(one.checks):
            assert all(c.label or isinstance(c, Less) for c in one.checks)


def test_every_figure_has_claims_in_the_order_of_the_figures():
    figures = [c.figure for c in EVERY]
    judged = [id for id, figure in CATALOG.all.items() if figure not in remedies.GRIDS]
    assert list(dict.fromkeys(figures)) == judged
    for figure, least in {"1": 7, "2": 8, "3": 2, "4": 5, "6": 6}.items():
        assert figures.count(figure) >= least, figure
    assert min(figures.count(id) for id in judged if id in CATALOG.related) >= 3


def rising_run(config, columns, folder):
    """A table in which every column rises from 0.05 to 1, those of the test set a little later."""
    epochs = numpy.unique([*range(0, config.num_epochs, config.log_frequency), config.num_epochs])
    table = pandas.DataFrame({"epoch": epochs.astype(float)})
    for column in columns:
        pace = 4 if column.startswith("test") else 5
        table[column] = (0.05 + pace * epochs / config.num_epochs).clip(max=1)
    table.attrs["folder"] = folder
    return table


def read_by(quantity, folder):
    """(columns that a quantity reads, its value) on rising runs of the full length."""
    columns = set()
    while True:
        tables = {r: rising_run(r.config, columns, folder) for r in quantity.runs}
        try:
            return columns, quantity.of(tables)
        except KeyError as missing:
            columns.add(missing.args[0])


@pytest.mark.parametrize("one", EVERY, ids=ids(EVERY))
def test_a_claim_can_be_asked_of_runs_that_have_just_begun(one, tmp_path):
    """Whatever is measured, too few rows are no error."""
    table = pandas.DataFrame({"step": [0], "epoch": [0.0]})
    table.attrs["folder"] = tmp_path
    for quantity in (q for check in one.checks for q in check.quantities):
        value = None
        while value is None:
            try:
                value = quantity.of({run: table for run in one.runs})
            except KeyError as missing:
                table[missing.args[0]] = 0.5
            except NotMeasured:
                value = Never(0)
        assert show(value, quantity.unit)


@pytest.mark.parametrize("one", CLAIMS, ids=ids(CLAIMS))
def test_claim_reads_what_its_runs_record_and_asks_for_epochs_that_they_have(one, tmp_path):
    shares = pandas.DataFrame({"frequency": [1, 2, 3], "initial": 1 / 3, "final": 1 / 3})
    derive(tmp_path, runs.SPECTRUM, shares)
    write_path(tmp_path, str(one.runs[0]) if one.runs else "", [10**6, 10**7], [0, 1], [0, 0])
    columns = set()
    for quantity in (q for check in one.checks for q in check.quantities):
        read, value = read_by(quantity, tmp_path)
        # Every level is reached in these runs: a Never is an epoch past the end of the run.
        assert not isinstance(value, Never) and numpy.isfinite(value)
        for column in read & SETS.keys() if quantity.unit not in TIMES else ():
            assert SETS[column] in quantity.words  # what is read is what is said
        columns |= read
    for config in (r.config for r in one.runs):
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
def test_claim_can_fail(one, tmp_path):
    """Of runs whose columns all stay, rise or fall, or of which the test set's stay, some fail."""
    if not one.runs:
        pytest.skip("analytic")
    epochs = numpy.arange(0.0, 200_001, 500)
    ramp = numpy.linspace(0, 1, len(epochs))
    passed = []
    for values, of_test in ((0, 0), (1, 1), (ramp, ramp), (1 - ramp, 1 - ramp), (1, 0)):
        shares = pandas.DataFrame({"frequency": [1, 2, 3], "initial": [1, 0, 0], "final": 1 / 3})
        derive(tmp_path, runs.SPECTRUM, shares)
        write_path(tmp_path, str(one.runs[0]), [0, 10**6, 10**7], [0, -1, -2], [0, 0, 0])
        table = pandas.DataFrame({"epoch": epochs})
        table.attrs["folder"] = tmp_path
        while True:
            try:
                found = [
                    c.holds([q.of(dict.fromkeys(one.runs, table)) for q in c.quantities])
                    for c in one.checks
                ]
                break
            except KeyError as missing:
                column = missing.args[0]
                table[column] = of_test if column.startswith("test") else values
        passed.append(all(found))
    assert not all(passed)


@pytest.mark.parametrize("shares, count", [([1, 1, 1, 1], 4), ([0, 0, 3], 1), ([2, 1, 1], 8 / 3)])
def test_the_effective_number_of_frequencies_is_worked_out_by_hand(shares, count, tmp_path):
    rows = {"frequency": range(len(shares)), "initial": 1, "final": shares}
    derive(tmp_path, runs.SPECTRUM, rows)
    table = pandas.DataFrame()
    table.attrs["folder"] = tmp_path
    assert effective_frequencies(A, "final").of({A: table}) == pytest.approx(count, rel=1e-12)
    assert effective_frequencies(A, "initial").of({A: table}) == pytest.approx(len(shares))


def test_what_was_tried_is_told_of_a_claim_that_fails_and_of_no_other(tmp_path):
    write(tmp_path, A, test_accuracy=LATE)
    evidence = Evidence(tmp_path, tmp_path / "none")
    said = "This was tried. That it says."
    failed, held = (judge(claim(check, remark=said), evidence) for check in (EARLY, HIGH))
    assert [tables.record(j)["remark"] for j in (failed, held)] == [said, ""]
    shown = tables.in_full([failed, held], 200)
    assert shown.count(said) == 1 and shown.index(said) > shown.index("not reproduced")


@pytest.mark.parametrize("one", EVERY, ids=ids(EVERY))
def test_a_published_claim_that_fails_says_in_two_sentences_what_was_tried_and_others_say_nothing(
    one,
):
    verdict = judge(one, PUBLISHED).verdict
    if verdict != "not run":  # its verdict is still open
        sentences = re.findall(r"[A-Z0-9][^.]*(?:\.\d[^.]*)*\.(?= |$)", one.remark)
        assert len(sentences) == (2 if verdict in ("partly", "not reproduced") else 0)
        assert " ".join(sentences) == one.remark


@pytest.mark.parametrize("one", CLAIMS, ids=ids(CLAIMS))
def test_published_runs_give_every_claim_a_number(one):
    """Whatever the verdict, and of unfinished runs what they have come to so far."""
    complete = [bool(list(RESULTS.glob(f"{run.name}/seed_*/{runs.SUMMARY}"))) for run in one.runs]
    if one.figure == "12":  # has to be made beside the run, from its weights
        complete += [bool(list(RESULTS.glob(f"{r.name}/seed_*/{runs.SPECTRUM}"))) for r in one.runs]
    found = judge(one, PUBLISHED)
    assert (found.verdict != "not run") is all(complete)
    assert found.measured == "not run" or re.search(r"\d", found.measured)
    if all(complete):
        assert "undefined" not in found.measured
