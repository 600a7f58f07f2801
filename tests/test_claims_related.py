"""Claims of the related systems speak of runs and columns that the manifest has at their size.

The tables here are synthetic runs that behave as published, or as nothing does.
"""

import re
from dataclasses import replace

import numpy
import pandas
import pytest

import claims
import runs
from checks import Less
from claims_grids import BAND, IN_BAND, OUTSIDE, PUBLISHED
from claims_related import QKV, RELATED
from config import RunConfig
from experiments import RELATED_FIGURES, RELATED_RUNS
from measures import Never
from session import Session
from verdicts import Evidence, judge

IDS = [f"{c.panel} {c.words}" for c in RELATED]


@pytest.mark.parametrize("one", RELATED, ids=IDS)
def test_claim_is_complete_and_its_runs_have_its_size(one):
    assert one.words and one.paper and one.source and one.checks
    assert re.search(r"\d|<|≤", one.held_to)
    figure = RELATED_FIGURES[one.figure]
    assert one.panel in {figure.id, *(p.id for p in figure.panels)}
    assert one.runs and set(one.runs) <= {r.name for r in figure.runs}
    assert all(RELATED_RUNS[run].kept_as(one.size) for run in one.runs)


def test_claims_are_told_apart():
    assert len(set(IDS)) == len(IDS)
    for one in RELATED:
        seen = [(c.label, c.limit, c.subject) for c in one.checks]
        assert len(set(seen)) == len(seen)
        if len({c.subject for c in one.checks}) < len(one.checks):
            assert all(c.label or isinstance(c, Less) for c in one.checks)


def test_every_figure_has_claims_in_the_order_of_the_manifest():
    figures = [c.figure for c in RELATED]
    assert list(dict.fromkeys(figures)) == list(RELATED_FIGURES)
    assert len(figures) >= 20 and min(map(figures.count, RELATED_FIGURES)) >= 3
    assert claims.RELATED is RELATED


def test_the_band_of_the_map_is_that_of_its_runs():
    for table, inside in ((IN_BAND, True), (OUTSIDE, False)):
        for modulus, batches in table.items():
            for batch in batches:
                config = RELATED_RUNS[f"div_power_p{modulus}_b{batch}"].at("cpu")
                ratio = config.train_examples / config.batch_size
                assert (BAND[0] <= ratio <= BAND[1]) is inside
    cells = {(m, b) for table in (IN_BAND, OUTSIDE) for m in table for b in table[m]}
    on_cpu = RELATED_FIGURES["delay-map"].at("cpu").runs
    assert {f"div_power_p{m}_b{b}" for m, b in cells} == {r.name for r in on_cpu}


def test_published_steps_are_the_epochs_times_the_updates_of_an_epoch():
    for network, table in PUBLISHED.items():
        for percent, (epochs, steps) in table.items():
            config = RELATED_RUNS[f"add_pku_{network}_{percent}"].config
            assert config.steps_per_epoch * epochs == steps


# ---------------------------------------------------------------------------------- on tables


def table_of(config, folder, fitted, grokked):
    """A run that fits and generalizes at these shares of its budget, in sharp steps."""
    share = numpy.linspace(0, 1, 401)
    steps = numpy.round(share * config.total_steps)
    test = 0.05 + 0.25 * (share >= fitted) + 0.7 * (share >= grokked)
    table = pandas.DataFrame(
        {
            "step": steps,
            "epoch": steps / config.steps_per_epoch,
            "train_accuracy": 1.0 * (share >= fitted),
            "test_accuracy": test.clip(max=1),
            "dimension_train": 10.0 + 8 * (share >= fitted) - 10 * (share >= grokked),
            QKV: 13.0 + 20 * numpy.exp(-(((share - grokked) / 0.1) ** 2)),
        }
    )
    table.attrs["folder"] = folder
    return table


@pytest.fixture
def folder(tmp_path):
    surface = pandas.DataFrame({"a": [0.0, 1], "b": [0.0, 0], "train_loss": [0.1, 9]})
    for file in runs.SURFACES.values():
        surface.to_csv(tmp_path / file)
    return tmp_path


@pytest.mark.parametrize("one", RELATED, ids=IDS)
def test_claim_gives_a_number_for_runs_that_reach_every_level(one, folder):
    tables = {r: table_of(RELATED_RUNS[r].at(one.size), folder, 0.02, 0.06) for r in one.runs}
    values = [q.of(tables) for c in one.checks for q in c.quantities]
    assert all(not isinstance(v, Never) and numpy.isfinite(v) for v in values)


@pytest.mark.parametrize("one", RELATED, ids=IDS)
def test_claim_can_fail(one, folder):
    """There are runs, of kinds that are far from the published ones, that do not pass."""
    early, late, never, memory = (0.001, 0.001), (0.9, 0.95), (2, 2), (0.001, 2)
    verdicts = []
    for behaviours in ((early, early), (late, late), (never, never), (memory, memory),
                       (early, memory)):  # fmt: skip
        tables = {
            run: table_of(RELATED_RUNS[run].at(one.size), folder, *behaviours[k % 2])
            for k, run in enumerate(one.runs)
        }
        flat = {run: table.assign(dimension_train=10.0) for run, table in tables.items()}
        for each in (tables, flat):
            for table in each.values():
                table.attrs["folder"] = folder
            values = [(c, [q.of(each) for q in c.quantities]) for c in one.checks]
            verdicts.append(all(c.holds(v) for c, v in values))
    assert not all(verdicts)


def test_columns_of_claims_are_recorded_by_their_runs():
    for one in RELATED:
        for run in one.runs:
            config = RELATED_RUNS[run].at(one.size)
            if one.figure == "dimension":
                assert config.log_dimension and config.dimension_split == "train"
            if one.panel == "landscape attention":
                assert config.network == "transformer"


def test_the_attention_weights_have_their_name_in_the_network():
    small = RunConfig(use_transformer=True, modulo=7, model_dim=8, ff_dim=8, lr=0.001)
    names = {name for name, _ in Session(small).model.named_parameters()}
    assert QKV.removeprefix("weight_norm/") in names


def test_a_claim_of_the_cpu_size_is_judged_on_runs_of_that_size(tmp_path):
    one = next(c for c in RELATED if c.panel == "s5 30 %" and c.size == "cpu")
    name, config = RELATED_RUNS["s5_toth_30"].form("cpu", 42)
    with runs.RunFolder(runs.run_folder(tmp_path, name, 42), config) as folder:
        for step, train, test in ((0, 0.0, 0.0), (2_000, 0.99, 0.01), (10_000, 1.0, 0.05)):
            row = {"step": step, "epoch": step / config.steps_per_epoch}
            folder.append(row | {"train_accuracy": train, "test_accuracy": test})
        folder.write_summary({"diverged_at_step": None})
    found = judge(one, Evidence(tmp_path, tmp_path / "none"))
    assert (found.verdict, found.seeds) == ("reproduced", (42,))
    assert judge(replace(one, size="full"), Evidence(tmp_path, tmp_path / "none")).verdict == (
        "not run"
    )
