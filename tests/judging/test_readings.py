"""What a figure's runs measured is printed with what tells the rows apart and what it is about."""

import pytest
from house import CATALOG
from made_runs import derive
from pictures import write

import plots
from configuration import runs
from paper.figure_1 import ADD_ORTHOADAMW


@pytest.fixture
def places(tmp_path):
    return {"runs_root": tmp_path / "own", "results_root": tmp_path / "published"}


def printed(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def columns_of(names: str, row: str, wanted: str) -> str:
    """The cell below a heading; both are aligned to the right, with a blank between columns."""
    end = names.index(wanted) + len(wanted)
    start = end - len(wanted)
    while start and not (names[start - 1] == row[start - 1] == " "):
        start -= 1
    return row[start:end].strip()


def test_measured_counts_in_steps_where_runs_are_so_long_in_steps(places, capsys):
    figure = CATALOG.related["division"]
    write(places["runs_root"], figure.runs[0], test_accuracy=[0.0, 0.5, 1.0])
    plots.measured("division", **places)
    head, names, row = capsys.readouterr().out.splitlines()
    assert head == "Measured (levels: first step):" and " steps " in names
    table = plots.read_run("div_toth_30", **places)
    assert f" {table['step'].iloc[1]:,} " in row and f" {table['step'].iloc[2]:,} " in row


def test_measured_tells_cells_of_a_grid_apart_and_names_delay_and_outcome(places, capsys):
    cells = CATALOG.related["delay-map"].at("cpu").runs
    train, test = [0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.1, 0.2, 0.2, 0.97]
    for run, accuracy in ((cells[0], test), (cells[5], [0.0, 1.0, 1.0, 1.0, 1.0])):
        write(places["runs_root"], run, size="cpu", train_accuracy=train, test_accuracy=accuracy)
    plots.measured("delay-map", size="cpu", **places)
    _, names, late, at_once, missing = capsys.readouterr().out.splitlines()
    for row, run, outcome in ((late, cells[0], "grokking"), (at_once, cells[5], "comprehension")):
        config = run.cpu
        table = plots.read_run(run.name, size="cpu", **places)
        reached = [table.loc[(table[f"{s}_accuracy"] >= 0.95).idxmax()] for s in ("train", "test")]
        steps, epochs = (reached[1][c] - reached[0][c] for c in ("step", "epoch"))
        assert f"division mod {config.modulo} 50 % of the pairs" in row
        assert row.split("of the pairs")[1].split()[0] == str(config.batch_size)
        assert row.split()[-3:] == [f"{steps:,.10g}", f"{epochs:,.10g}", outcome]
    assert names.split("delay at 95 % in steps")[1].split() == ["delay", "in", "epochs", "outcome"]
    assert missing.startswith("No complete run of cpu/") and " and 5 more" in missing


def test_measured_prints_first_epochs_final_values_and_what_is_missing(places, capsys):
    values = {
        "test_accuracy": [0.0, 0.5, 0.9, 0.98765, 0.97],
        "softmax_collapse": [0.0, 0.1, 0.3, 0.2, 0.1],
        "train_accuracy": [0.1, 0.2, 0.3, 0.4, 0.625],
        "zero_terms": [0.0, 0.125, 0.1, 0.1, 0.1],
    }
    epochs, _ = write(places["runs_root"], ADD_ORTHOADAMW, **values)
    plots.measured("1", **places)
    head, names, row, missing = capsys.readouterr().out.splitlines()
    assert head.startswith("Measured")
    start = ["1a", "⊥AdamW,", "softmax", "42", "your", "runs", f"{epochs[-1]:,}"]
    accuracies = ["62.50", "97.00", f"{epochs[1]}", "never"]
    assert row.split()[:-1] == [*start, *accuracies, "12.5", "30", "never", "never"]
    assert names.split()[:4] == ["panel", "curve", "seed", "source"]
    assert missing.startswith("No complete run of add_stablemax, add_softmax64; make it: ./run_")


RISING = {"train_accuracy": [0, 1, 1, 1, 1], "zero_terms": [0, 0, 0.25, 0.125, 0]}


def test_measured_says_when_both_levels_of_collapse_are_reached_and_the_share_of_terms_of_0(
    places, capsys
):
    run = CATALOG.paper["2"].runs[0]
    collapse = [0, 0.39, 0.4, 0.5, 0.2]
    epochs, _ = write(places["runs_root"], run, softmax_collapse=collapse, **RISING)
    plots.measured("2", **places)
    _, names, row, *_ = printed(capsys)
    for heading, value in (
        ("terms of 0 %, max", "25.0"), ("max collapse %", "50"),
        ("collapse ≥ 40 % at", f"{epochs[2]:,}"), ("collapse ≥ 50 % at", f"{epochs[3]:,}"),
    ):  # fmt: skip
        assert columns_of(names, row, heading) == value


def test_measured_speaks_of_no_softmax_where_the_loss_has_none(places, capsys):
    write(
        places["runs_root"], CATALOG.paper["1"].runs[1], softmax_collapse=[0, 1, 1, 1, 1], **RISING
    )
    plots.measured("1", **places)
    _, names, row, *_ = printed(capsys)
    assert "collapse" not in names and columns_of(names, row, "terms of 0 %, max") == "25.0"


def test_measured_shows_the_cosines_of_figure_5_when_the_training_set_is_fitted(places, capsys):
    cosines = {"nlm_cosine": [0.1, 0.7, 0.8, 0.8, 0.8]}
    cosines |= {f"nlm_cosine/layers.{i}.weight": [0, x, 1, 1, 1] for i, x in enumerate((0.5, 0.9))}
    write(places["runs_root"], CATALOG.paper["5"].runs[0], **RISING, **cosines)
    plots.measured("5", **places)
    _, names, row, *_ = printed(capsys)
    assert columns_of(names, row, "cosine when fitted") == "0.700"
    assert columns_of(names, row, "of the output layer when fitted") == "0.900"


def test_measured_shows_the_l2_term_of_figure_6c_alone(places, capsys):
    adamw, decayed = (
        CATALOG.paper["6"].panels[2].curves[0].run,
        CATALOG.paper["6"].panels[-1].curves[0].run,
    )
    norms = {"weight_norm": [1.0, 2.0, 10.0, 4.0, 5.0]}
    for run in (adamw, decayed):
        write(places["runs_root"], run, **RISING, **norms)
    plots.measured("6", **places)
    _, names, plain, with_term, *_ = printed(capsys)
    half = decayed.config.weight_decay / 2
    assert columns_of(names, with_term, "L2 term") == f"{25 * half:.4g}"
    assert columns_of(names, with_term, "largest") == f"{100 * half:.4g}"
    assert columns_of(names, plain, "L2 term") == ""


def test_measured_shows_the_shares_of_figure_10(places, capsys):
    shares = {
        "update_absorbed": [0.01, 0.2, 0.3, 0.35, 0.4],
        "zero_gradients": [0.03, 0, 0, 0, 0.02],
    }
    write(places["runs_root"], CATALOG.paper["10"].runs[0], **RISING, **shares)
    plots.measured("10", **places)
    _, names, row, *_ = printed(capsys)
    assert columns_of(names, row, "absorbed %, first to last") == "1.00 to 40.00"
    assert columns_of(names, row, "zero gradients %, first to last") == "3.00 to 2.00"


@pytest.mark.parametrize("there", [True, False])
def test_measured_counts_the_frequencies_of_figure_12(there, places, capsys):
    run = CATALOG.paper["12"].runs[0]
    write(places["runs_root"], run, **RISING)
    if there:
        table = {"operand": "first", "frequency": [1, 2, 3, 4], "initial": 0.25,
                 "final": [0.9, 0.05, 0.03, 0.02]}  # fmt: skip
        derive(runs.run_folder(places["runs_root"], run.name, 42), runs.SPECTRUM, table)
    plots.measured("12", **places)
    _, names, row, *_ = printed(capsys)
    assert ("frequencies" in names) == there
    if there:
        assert columns_of(names, row, "frequencies of 90 %, initial") == "4 of 4"
        assert columns_of(names, row, "frequencies of 90 %, final") == "1 of 4"


def test_measured_tells_collapse_of_right_labels_apart_on_mnist(places, capsys):
    labelled = {"softmax_collapse_label": [0, 0.1, 0.2, 0.7, 0.8]}
    collapse = {"softmax_collapse": [1, 1, 1, 1, 1]}
    epochs, _ = write(
        places["runs_root"], CATALOG.paper["14"].runs[0], **RISING, **labelled, **collapse
    )
    plots.measured("14", **places)
    _, names, row, *_ = printed(capsys)
    assert columns_of(names, row, "collapse ≥ 50 % at") == "0"
    assert columns_of(names, row, "of right labels") == f"{epochs[3]:,}"
