"""Claims of the related systems speak of runs and columns that there are at their size.

The tables here are synthetic runs that behave as published, or as nothing does.
"""

from dataclasses import replace

import numpy
import pandas
import pytest
from house import RELATED_CLAIMS, RELATED_RUNS
from made_runs import derive

from configuration import runs
from configuration.config import RunConfig
from experiment.quantity import Never
from judging.verdicts import Evidence, judge
from related import architectures, delay_map
from related.landscape import QKV
from training.session import Session

IDS = [f"{c.panel} {c.words}" for c in RELATED_CLAIMS]


def test_the_cells_of_the_band_are_those_of_002():
    inside = {(m, b) for m in (47, 97, 197) for b in (8, 32, 128, 512) if delay_map._in_band(m, b)}
    assert inside == {(47, 8), (97, 8), (97, 32), (197, 32), (197, 128)}


def test_published_steps_are_the_epochs_times_the_updates_of_an_epoch():
    for network, percent, steps in (
        ("transformer", 30, 3_630),
        ("MLP", 70, 6_500),
        ("LSTM", 70, 1_417),
    ):
        assert architectures.published_steps(network, percent) == steps


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
        derive(tmp_path, file, surface)
    return tmp_path


@pytest.mark.parametrize("one", RELATED_CLAIMS, ids=IDS)
def test_claim_gives_a_number_for_runs_that_reach_every_level(one, folder):
    tables = {r: table_of(r.at(one.size), folder, 0.02, 0.06) for r in one.runs}
    values = [q.of(tables) for c in one.checks for q in c.quantities]
    assert all(not isinstance(v, Never) and numpy.isfinite(v) for v in values)


@pytest.mark.parametrize("one", RELATED_CLAIMS, ids=IDS)
def test_claim_can_fail(one, folder):
    """There are runs, of kinds that are far from the published ones, that do not pass."""
    early, late, never, memory = (0.001, 0.001), (0.9, 0.95), (2, 2), (0.001, 2)
    verdicts = []
    for behaviours in ((early, early), (late, late), (never, never), (memory, memory),
                       (early, memory)):  # fmt: skip
        tables = {
            run: table_of(run.at(one.size), folder, *behaviours[k % 2])
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
    for one in RELATED_CLAIMS:
        for run in one.runs:
            config = run.at(one.size)
            if one.figure == "dimension":
                assert config.log_dimension and config.dimension_split == "train"
            if one.panel == "landscape attention":
                assert config.network == "transformer"


def test_the_attention_weights_have_their_name_in_the_network():
    small = RunConfig(use_transformer=True, modulo=7, model_dim=8, ff_dim=8, lr=0.001)
    names = {name for name, _ in Session(small).model.named_parameters()}
    assert QKV.removeprefix("weight_norm/") in names


def test_a_claim_of_the_cpu_size_is_judged_on_runs_of_that_size(tmp_path):
    one = replace(next(c for c in RELATED_CLAIMS if c.panel == "s5 30 %"), size="cpu")
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
