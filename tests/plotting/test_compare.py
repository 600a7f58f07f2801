"""plots.py --compare and --table: any complete run folders, by what varies in them."""

from dataclasses import replace

import matplotlib
import pytest
from made_runs import made
from pictures import texts

import plots
from configuration import runs
from configuration.config import RunConfig
from plotting.panels import PALETTE

matplotlib.use("agg")
BASE = RunConfig(lr=0.5, modulo=7, num_epochs=4, log_frequency=2)
VALUES = {"train_loss": [2, 0.5, 0.25], "test_loss": [2, 3, 4], "train_accuracy": [0, 0.5, 1],
          "test_accuracy": [0, 0.25, 0.5], "softmax_collapse": [0, 0, 0.5],
          "weight_norm": [1, 2, 3]}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """write(name, seed, complete, summary, **fields or columns) -> the folder of the run."""

    def make(name, seed=42, *, complete=True, summary=None, **change):
        columns = VALUES | {k: change.pop(k) for k in VALUES if k in change}
        config = replace(BASE, seed=seed, **change)
        more = {"complete": complete, "summary": summary}
        return made(tmp_path / "runs", name, config, (0, 2, 4), every=1, **more, **columns)

    return make


def legend(picture) -> list[str]:
    (box,) = picture.legends
    return [text.get_text() for text in box.get_texts()]


def curve(axes, label, picture, style="-"):
    """y values of the curves with this label's colour and this style."""
    (box,) = picture.legends
    pairs = zip(box.get_texts(), box.get_lines(), strict=True)
    colors = {text.get_text(): line.get_color() for text, line in pairs}
    of = [x for x in axes.lines if x.get_color() == colors[label] and x.get_linestyle() == style]
    return [x.get_ydata().tolist() for x in of]


def refused(capsys, *words) -> str:
    with pytest.raises(SystemExit) as stop:
        plots.main(list(words))
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# ---------------------------------------------------------------------------------- picture


def test_each_configuration_is_a_curve_named_by_what_differs_and_seeds_are_its_band(write):
    write("x-lr0.1", lr=0.1, test_accuracy=[0, 0, 0.25], test_loss=[2, 2, 2])
    write("x-lr0.1", 43, lr=0.1, test_accuracy=[0, 0, 0.75], test_loss=[4, 4, 400])
    slow = write("x-lr0.01", lr=0.01)
    picture, name = plots.compare([write("x"), slow.parent.parent / "x-lr0.1", slow])
    accuracy, loss = picture.axes
    assert legend(picture) == ["lr 0.01", "lr 0.1", "lr 0.5", "Test", "Train"]
    assert curve(accuracy, "lr 0.1", picture) == [[0, 0, 50]]
    assert curve(accuracy, "lr 0.5", picture, "--") == [[0, 50, 100]]
    assert curve(loss, "lr 0.1", picture) == [[3, 3, 201]]
    assert curve(loss, "lr 0.5", picture, "--") == [[2, 0.5, 0.25]]
    assert loss.get_yscale() == "log"
    assert len(accuracy.collections) == 2 and not loss.collections  # bands: train and test
    shown = texts(picture)
    assert "x by lr" in shown and "addition mod 7, training on 30 % of the pairs" in shown
    assert "lr 0.1: seeds 42, 43 · median and range, the band of accuracy alone" in shown
    assert name == "x-lr"


def test_by_says_which_fields_are_told_apart_and_the_picture_says_which_are_not(write):
    cells = [(rate, decay) for rate in (0.1, 0.2) for decay in (0.0, 1.0)]
    folders = [write(f"x-{r}-{d}", lr=r, weight_decay=d) for r, d in cells]
    both, name = plots.compare(folders)
    assert legend(both)[1] == "lr 0.1, weight_decay 1" and len(legend(both)) == 4 + 2
    assert name == "x-lr-weight_decay"
    by, name = plots.compare(folders, ["weight_decay"])
    assert legend(by) == ["weight_decay 0", "weight_decay 1", "Test", "Train"]
    assert len(curve(by.axes[0], "weight_decay 0", by)) == 2
    assert "curves of one colour differ in lr" in texts(by)
    assert name == "x-weight_decay"


def test_a_loss_of_exactly_0_is_drawn_at_the_smallest_positive_one_and_it_is_said(write):
    folder = write("x", train_loss=[2, 1e-9, 0], test_loss=[2, 0, 1e-3])
    picture, _ = plots.compare([folder])
    assert curve(picture.axes[1], "x", picture, "--") == [[2, 1e-9, 1e-9]]
    assert curve(picture.axes[1], "x", picture) == [[2, 1e-9, 1e-3]]
    assert 0 < picture.axes[1].get_ylim()[0] < 1e-9
    said = "a loss of 0 has no place on a log axis: it is drawn at the smallest positive one, 1e-09"
    assert said in texts(picture)
    never = plots.compare([write("never", train_loss=[0] * 3, test_loss=[0] * 3)])[0]
    assert never.axes[1].get_yscale() == "linear"
    assert said[:20] not in texts(plots.compare([write("other")])[0])


def test_one_configuration_at_one_seed_in_two_places_is_two_curves(write):
    a, b = write("a"), write("b")
    picture, name = plots.compare([a, b, b.parent])
    assert legend(picture)[:2] == ["a (runs/a)", "a (runs/b)"]
    assert name == "comparison"


def test_more_curves_than_the_palette_has_colours_all_differ(write):
    folders = [write(f"x-lr{k}", lr=float(k)) for k in range(1, len(PALETTE) + 3)]
    picture, _ = plots.compare(folders)
    (box,) = picture.legends
    assert len({str(h.get_color()) for h in box.get_lines()[:-2]}) == len(folders)
    assert legend(picture)[:2] == ["lr 1", "lr 2"] and legend(picture)[-3] == "lr 9"


def test_a_seed_that_is_not_complete_is_left_out_and_named(write):
    write("x", 43, complete=False)
    picture, _ = plots.compare([write("x").parent])
    assert "seed_43 is not complete" in texts(picture)
    assert "n = 2" not in texts(picture)


def test_a_diverged_run_is_drawn_as_far_as_it_came(write):
    folder = write("x", summary={"diverged_at_step": 4}, train_loss=[2, 1e30, None],
                   test_loss=[2, 1e30, None])  # fmt: skip
    picture, _ = plots.compare([folder])
    assert curve(picture.axes[1], "x", picture)[0][:2] == [2, 1e30]
    assert "x seed 42 diverged at step 4" in texts(picture)


def test_quick_runs_and_full_ones_make_two_files(write, tmp_path, capsys):
    for name in ("x", "quick/x"):
        folders = [str(write(f"{name}-lr{rate}", lr=rate)) for rate in (0.1, 0.2)]
        assert plots.main(["--compare", *folders, "--out", str(tmp_path), "--dpi", "30"]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [f"{tmp_path}/x-lr.png", f"{tmp_path}/x-lr_quick.png"]
    assert all((tmp_path / path).is_file() for path in printed)


# ---------------------------------------------------------------------------------- table


def tables(capsys, *words):
    """The two tables as rows of words, without their heads."""
    assert plots.main(["--table", *map(str, words)]) == 0
    ends, steps = capsys.readouterr().out.split("\n\n")
    return [[line.split() for line in part.splitlines()] for part in (ends, steps)]


def test_the_table_has_final_values_first_steps_and_the_fields_that_differ(write, capsys):
    first = {"train_accuracy>=0.5": 123, "test_accuracy>=0.99": None}
    a = write("x", summary={"first_step": first}, train_accuracy=[0, 0.5, 0.99999])
    b = write("x-lr0.1", 7, lr=0.1, use_transformer=True, train_loss=[2, 1, 0])
    ends, steps = tables(capsys, a, b.parent)
    assert ends[0][:4] == ["run", "seed", "use_transformer", "lr"]
    assert ends[1:] == [
        ["x", "42", "false", "0.5", "4", "99.99", "50.00", "0.25", "4", "50.00", "3"],
        ["x-lr0.1", "7", "true", "0.1", "4", "100.00", "50.00", "0", "4", "50.00", "3"],
    ]
    assert " ".join(steps[1]).startswith("run seed train 50 % test 99 %")
    assert steps[2][:4] == ["x", "42", "123", "-"]
    assert steps[3][:4] == ["x-lr0.1", "7", "2", "-"]  # computed: its summary has none


def test_what_is_undefined_is_no_number_in_the_table(write, capsys):
    ends, _ = tables(capsys, write("x", test_accuracy=[None] * 3, test_loss=[None] * 3))
    assert ends[1] == ["x", "42", "4", "100.00", "-", "0.25", "-", "50.00", "3"]


# ---------------------------------------------------------------------------------- refused


def test_what_cannot_be_compared_is_one_line_and_exit_code_2(write, tmp_path, capsys):
    begun, done = str(write("begun", complete=False)), str(write("done"))
    altered, short = write("altered"), tmp_path / "short" / "seed_42"
    (altered / runs.METRICS).write_text("step,epoch\n0,0\n")
    with runs.RunFolder(short, BASE) as folder:
        folder.append({"step": 0, "epoch": 0, "train_loss": 0.5})
        folder.write_summary({"diverged_at_step": None})
    for words, said in (
        (["--compare", "/nope"], "/nope does not exist; name a run folder (seed_N)"),
        (["--table", str(tmp_path)], f"{tmp_path} is no run folder; name a run folder (seed_N)"),
        (["--table"], "--table is empty; name a run folder"),
        (["--compare", done, begun], f"{begun} is not complete; start it again to finish it"),
        (["--compare", str(altered)], "metrics.csv is not as the run left it; copy it again"),
        (["--table", str(short)], f"{short}/metrics.csv has no column test_loss"),
        (["--compare", done, "--by", "learning_rate"], "unknown field 'learning_rate'"),
        (["--compare", done, "--by", "seed"], "seeds are replicates"),
        (["--by", "lr"], "name run folders with --compare"),
        (["--compare", done, "--figures", "1"], "--figures is about figures; drop it"),
        (["--compare", done, "--out", f"{done}/config.json"], "choose another --out"),
    ):
        assert said in refused(capsys, *words)
