"""Damaged run folders before the launcher, pictures, claims and tables: not used, and said."""

import csv
import io
import os
import re
import signal

import pytest
from damages import OF_A_COMPLETE_RUN, OF_A_RUN
from faulty import (
    Child,
    answer,
    assert_one_line,
    files,
    limit_files,
    nobody,
    put,
    reachable,
    some,
    spoil,
    unfinished,
    whole,
)
from pictures import texts
from tiny_figure import CONFIG, figure

import claims
import launch
import plots
from configuration.runs import CONFIG as CONFIG_FILE
from configuration.runs import ENV, LOCK, METRICS, SUMMARY
from experiment.catalog import Catalog
from experiment.figure import Run

# A complete run without a summary is one that is not finished; of this nothing need be said.
UNSAID = ("summary gone", "summary a dangling link")


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """damaged(faults, files) -> (root of a run for each fault and an intact one, {fault: run})."""

    def make(faults, found):
        declared = {f: Run(name=f"run_{i}", config=CONFIG, quick=None)
                    for i, f in enumerate(faults)}  # fmt: skip
        intact = Run(name="intact", config=CONFIG, quick=None)
        for fault, run in declared.items():
            faults[fault][0](put(found, tmp_path / "own" / run.name / "seed_42"))
        put(whole(), tmp_path / "own/intact/seed_42")
        for program in (launch, plots, claims):
            catalog = Catalog([figure("1", intact, *declared.values())])
            monkeypatch.setattr(program, "CATALOG", catalog)
        return tmp_path / "own", declared

    return make


def named(text, declared) -> set[str]:
    """The faults of those runs that a text names."""
    words = set(re.findall(r"\brun_\d+\b", text))
    return {fault for fault, run in declared.items() if run.name in words}


def test_launcher_computes_every_damaged_complete_run_again(damaged):
    faults = {f: how for f, how in OF_A_COMPLETE_RUN.items() if f != "the config altered"}
    root, declared = damaged(faults, whole())
    given = answer(launch.main, ["--dry-run", "--device", "cpu", "--runs", str(root)])
    assert given.code == 0 and "Traceback" not in given.err
    assert named(given.out, declared) == set(faults) and "intact" not in given.out
    given = answer(launch.main, ["--list", "--figures", "1", "--runs", str(root)])
    rows = [line.split() for line in given.out.splitlines()]
    assert [r[0] for r in rows if "finished" in r and r[1:2] == ["42"]] == ["intact"]


def test_pictures_say_every_damaged_complete_run(damaged, tmp_path):
    root, declared = damaged(OF_A_COMPLETE_RUN, whole())
    drawn = plots.draw_figure(plots.CATALOG.figures()[0], runs_root=root, results_root=tmp_path)
    notes = texts(drawn).split("not used")
    missing = set(OF_A_COMPLETE_RUN) - named(" ".join(notes[1:]), declared)
    assert missing == set(UNSAID)
    (axes,) = drawn.axes
    assert {len(x.get_xdata()) for x in axes.lines if len(x.get_xdata()) > 2} == {9}


def test_claims_say_every_damaged_complete_run(damaged, tmp_path):
    root, declared = damaged(OF_A_COMPLETE_RUN, whole())
    given = answer(claims.main, ["--csv", "--runs", str(root)], results_root=tmp_path)
    assert given.code == 0 and "Traceback" not in given.err
    assert set(OF_A_COMPLETE_RUN) - named(given.err, declared) == set(UNSAID)
    verdicts = {row["runs"]: row["verdict"] for row in csv.DictReader(io.StringIO(given.out))}
    assert {run for run, verdict in verdicts.items() if verdict != "not run"} == {"intact"}


def test_programs_read_what_there_is_of_every_damaged_unfinished_run(damaged, tmp_path):
    root, declared = damaged(OF_A_RUN, unfinished())
    given = answer(claims.main, ["--csv", "--runs", str(root)], results_root=tmp_path)
    assert given.code == 0 and "Traceback" not in given.err
    verdicts = [row["verdict"] for row in csv.DictReader(io.StringIO(given.out))]
    assert verdicts.count("not run") == len(OF_A_RUN)
    given = answer(launch.main, ["--list", "--figures", "1", "--runs", str(root)])
    assert given.code == 0 and given.out.count("finished") == 1
    assert named(given.out, declared) == set(OF_A_RUN)
    drawn = plots.draw_figure(plots.CATALOG.figures()[0], runs_root=root, results_root=tmp_path)
    (axes,) = drawn.axes
    assert {len(x.get_xdata()) for x in axes.lines if len(x.get_xdata()) > 2} == {9}


@pytest.mark.parametrize("fault", OF_A_COMPLETE_RUN)
def test_tables_refuse_a_complete_run_with(fault, tmp_path):
    folder = put(whole(), tmp_path / "run")
    OF_A_COMPLETE_RUN[fault][0](folder)
    given = answer(plots.main, ["--table", str(folder)])
    assert_one_line(given, str(folder))


WITHOUT_WEIGHTS = (
    "checkpoint gone", "checkpoint empty", "checkpoint a byte short", "checkpoint of torch alone",
    "checkpoint of another seed", "checkpoint a number", "metrics gone", "config cut",
    "a known value altered by a digit",
)  # fmt: skip


@pytest.mark.parametrize("fault", WITHOUT_WEIGHTS)
def test_what_is_computed_from_weights_refuses_a_run_with(fault, tmp_path):
    from weights import landscape, spectrum

    folder = put(whole(), tmp_path / "run")
    OF_A_RUN[fault][0](folder)
    for main, words in ((spectrum.main, []), (landscape.main, ["--surface"])):
        assert_one_line(answer(main, [*words, str(folder)]), str(folder))
    assert {p.name for p in folder.iterdir()} <= {*files(folder), LOCK, ENV}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
@pytest.mark.parametrize("name", [CONFIG_FILE, METRICS, SUMMARY])
def test_run_that_may_not_be_read_is_said_and_the_rest_is_used(name, damaged, tmp_path):
    reachable(tmp_path)
    root, declared = damaged(
        {"unreadable": (lambda folder: (folder / name).chmod(0o600), "")}, whole()
    )
    words = ["--csv", "--runs", str(root)]
    given = Child(lambda: claims.main(words, results_root=root / "none"), nobody).end()
    assert given.code == 0 and given.err.count("\n") == 1
    assert "not used" in given.err and named(given.err, declared) == {"unreadable"}
    verdicts = [row["verdict"] for row in csv.DictReader(io.StringIO(given.out))]
    assert sorted(verdicts) == ["not run", "reproduced"]
    table = ["--table", str(root / "run_0"), str(root / "intact")]
    assert_one_line(Child(lambda: plots.main(table), nobody).end(), "run_0")
    listed = ["--list", "--figures", "1", "--runs", str(root)]
    given = Child(lambda: launch.main(listed), nobody).end()
    assert given.code == 0 and given.out.count("finished") == 1


# What is printed is the result: its loss is said. (code, words on stderr)
ENDS = {"full": (1, "cannot write to standard output"), "broken": (141, ""),
        "closed": (1, "cannot write to standard output")}  # fmt: skip


@pytest.mark.parametrize("fault", ENDS)
def test_result_that_cannot_be_printed_is_one_line(fault, damaged):
    root, _ = damaged({}, {})
    code, said = ENDS[fault]
    programs = (
        lambda: claims.main(["--csv", "--runs", str(root)], results_root=root / "none"),
        lambda: plots.main(["--table", str(root / "intact")]),
        lambda: launch.main(["--list", "--figures", "1", "--runs", str(root)]),
    )
    for program in programs:
        given = Child(program, lambda: spoil([(fault, 1)])).end()
        assert given.code == code and given.err.count("\n") == bool(said) and said in given.err
        given = Child(program, lambda: spoil([(fault, 2)])).end()
        assert given.code == 0 and "intact" in given.out


# ---------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("most", some([1000, 0, 1], 3))
@pytest.mark.parametrize("killed", [True, False])
def test_picture_is_the_old_one_or_the_new_one(killed, most, damaged, tmp_path):
    root, _ = damaged({}, {})
    words = ["--runs", str(root), "--out", str(tmp_path / "out"), "--dpi"]
    assert answer(plots.main, [*words, "20"]).code == 0
    (picture,) = (tmp_path / "out").iterdir()
    old = picture.read_bytes()
    given = Child(lambda: plots.main([*words, "40"]), lambda: limit_files(most, killed)).end()
    assert picture.read_bytes() == old
    if killed:
        assert given.code == -signal.SIGXFSZ
    else:
        assert_one_line(given, "File too large", "--out")
        assert [p.name for p in picture.parent.iterdir()] == [picture.name]
    assert answer(plots.main, [*words, "40"]).code == 0
    assert picture.read_bytes() != old
