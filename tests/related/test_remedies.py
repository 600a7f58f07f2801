"""The study of remedies compares like with like, chooses by its published grid, and says so."""

from dataclasses import asdict

import pandas
import pytest

from documents import remedies as page
from experiment.quantity import Never
from related import remedies
from related.remedies import CELLS, CHOSEN, REMEDIES, RUNS, TASKS

EACH = [(task, name) for task in TASKS for name in REMEDIES]
PUBLISHED = {"add": 5, "div": 3}  # shown seeds


def differences(config, other):
    return {k for k, v in asdict(config).items() if v != asdict(other)[k]}


@pytest.mark.parametrize(("task", "name"), EACH)
def test_a_remedy_changes_of_the_baseline_what_it_names_and_the_rate(task, name):
    remedy, base = REMEDIES[name], RUNS[task, "adamw"]
    named = {*remedy.change, *remedy.of_task.get(task, ()), remedy.of, "lr"}
    for form in ("full", "quick"):
        assert differences(RUNS[task, name].at(form), base.at(form)) <= named
    for cell in remedies.cells(task, name):
        assert differences(CELLS[task, name, cell].config, TASKS[task].config) <= named


@pytest.mark.parametrize(("task", "name"), EACH)
def test_a_grid_has_at_most_six_cells_and_the_chosen_one_among_them(task, name):
    cells = remedies.cells(task, name)
    assert len(set(cells)) == len(cells) <= 6 and CHOSEN[task, name] in cells
    shown, cell = RUNS[task, name].config, CELLS[task, name, CHOSEN[task, name]].config
    assert shown == cell


def test_no_shown_seed_took_part_in_a_choice():
    assert set(remedies.FIGURE.seeds.values()) == {remedies.SEEDS}
    for task, grid in zip(TASKS, remedies.GRIDS, strict=True):
        assert set(grid.seeds.values()) == {remedies.GRID_SEEDS[task]}
        assert not set(remedies.SEEDS) & set(remedies.GRID_SEEDS[task])
    assert not {r.name for r in RUNS.values()} & {r.name for r in CELLS.values()}


@pytest.mark.parametrize(("task", "name"), EACH)
def test_the_chosen_cell_is_the_best_of_the_published_grid(task, name):
    of = {cell: page.tables(CELLS[task, name, cell]) for cell in remedies.cells(task, name)}
    assert {len(tables) for tables in of.values()} == {len(remedies.GRID_SEEDS[task])}
    assert remedies.best_cell(task, name, of) == CHOSEN[task, name]


@pytest.mark.parametrize(("task", "name"), EACH)
def test_all_seeds_are_published_to_their_end(task, name):
    found = page.tables(RUNS[task, name])
    assert len(found) == PUBLISHED[task]
    for table in found:
        last = table.iloc[-1]
        assert last["step"] == remedies.BUDGET or last["test_accuracy"] >= 0.99


def table(*accuracies, every=10):
    steps = [every * i for i in range(len(accuracies))]
    return pandas.DataFrame({"step": steps, "epoch": steps, "test_accuracy": accuracies})


SOON, LATE, NEVER, WORSE = table(0, 0.96), table(0, 0, 0.95), table(0, 0.5), table(0, 0.4)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ([SOON, LATE], [LATE, LATE]),
        ([LATE, LATE], [SOON, NEVER]),  # all seeds there before one that is soon
        ([SOON, NEVER], [NEVER, NEVER]),
        ([NEVER, NEVER], [NEVER, WORSE]),  # none there: by accuracy
    ],
)
def test_cells_rank_by_seeds_that_got_there_then_by_time_then_by_accuracy(better, worse):
    assert remedies.rank(better) < remedies.rank(worse)


def test_of_equal_cells_the_first_is_chosen():
    of = {cell: [SOON, LATE] for cell in remedies.cells("add", "decay")}
    assert remedies.best_cell("add", "decay", of) == remedies.cells("add", "decay")[0]


def test_a_gain_is_how_many_times_sooner_and_at_least_the_budget_of_a_run_that_never_got_there():
    slow, fast = RUNS["add", "adamw"], RUNS["add", "muon"]
    gain = remedies.gain(slow, fast).of
    assert gain({slow: LATE, fast: SOON}) == 2
    assert gain({slow: table(0, 0, 0, 0.1), fast: SOON}) == 3
    assert gain({slow: LATE, fast: NEVER}) == Never(10)


def test_a_spread_counts_what_never_came_as_later_than_all():
    assert page.spread([300, 100, 200]) == "200 (100 to 300)"
    assert page.spread([100, None, 200]) == "200 (100 to never)"
    assert page.spread([None, None, 200]) == "never (200 to never)"
    assert page.spread([None]) == "never" and page.spread([5, 5]) == "5"
