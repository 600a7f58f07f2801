"""A damaged run folder: the next start makes the same bytes of it, or says what to delete."""

import random

import pytest
from damages import OF_A_COMPLETE_RUN, OF_A_RUN, OF_WEIGHTS, a_link, becomes, gone, state_of, to
from faulty import (
    FLAGS,
    SAVING,
    assert_one_line,
    assert_same,
    call,
    files,
    flipped,
    put,
    settles,
    unfinished,
    whole,
)

from configuration import runs
from configuration.runs import CHECKPOINT, CONFIG, ENV, LOCK, METRICS, SUMMARY, WEIGHTS
from conftest import slow


@pytest.mark.parametrize("fault", OF_A_RUN)
def test_unfinished_run_recovers_from(fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage, said = OF_A_RUN[fault]
    folder = put(unfinished(), tmp_path / "run")
    damage(folder)
    settles(folder, said=said)
    assert not (tmp_path / "executed").exists()
    assert not [p for p in folder.iterdir() if p.name.startswith(".")] or said


@pytest.mark.parametrize("fault", OF_WEIGHTS)
def test_unfinished_run_that_saves_its_weights_recovers_from(fault, tmp_path):
    damage, said = OF_WEIGHTS[fault]
    folder = put(unfinished(SAVING), tmp_path / "run")
    damage(folder)
    settles(folder, SAVING, said)


@pytest.mark.parametrize("fault", OF_A_COMPLETE_RUN)
def test_complete_run_recovers_from(fault, tmp_path):
    damage, said = OF_A_COMPLETE_RUN[fault]
    folder = put(whole(), tmp_path / "run")
    damage(folder)
    settles(folder, said=said)


PLACES = (CHECKPOINT, METRICS, CONFIG, ENV, LOCK, SUMMARY, WEIGHTS)


@pytest.mark.parametrize("name", PLACES)
def test_folder_in_the_place_of_a_file_is_one_line(name, tmp_path):
    folder = put(unfinished(SAVING), tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    given = call(folder, flags=SAVING)
    assert_one_line(given, str(folder))
    (folder / name).rmdir()
    put(unfinished(SAVING), folder)
    settles(folder, SAVING)


@pytest.mark.parametrize("damage", [gone(CONFIG), a_link(CONFIG)], ids=["gone", "a dangling link"])
def test_run_without_its_configuration_is_refused_and_left_alone(damage, tmp_path):
    folder = put(unfinished(), tmp_path / "run")
    damage(folder)
    before = files(folder)
    assert_one_line(call(folder), "not a run folder; choose another --run_dir")
    assert files(folder) == before


@pytest.mark.parametrize(
    "damage", [gone(CHECKPOINT), to(CHECKPOINT, lambda b: b[:-1]), becomes(ENV, b"{")]
)
def test_complete_run_needs_no_checkpoint(damage, tmp_path):
    folder = put(whole(), tmp_path / "run")
    damage(folder)
    before = files(folder)
    assert "is complete" in call(folder).out
    assert files(folder) == before


# ---------------------------------------------------------------------------------- flips


def passing(name, places, folder, flags=FLAGS) -> list[int]:
    """Of these bytes those whose change an unfinished run does not notice as it is loaded."""
    put(unfinished(flags), folder)
    config, content, passed = runs.read_config(folder), unfinished(flags)[name], []
    for where in places:
        (folder / name).write_bytes(flipped(content, where, random.Random(where)))
        try:
            with runs.RunFolder(folder, config) as entered:
                entered.load_checkpoint()
            passed.append(where)
        except runs.RunError as error:
            assert "delete" in str(error) and "\n" not in str(error)
    return passed


def known(name, flags) -> int:
    """Bytes of a file that the checkpoint vouches for."""
    content = unfinished(flags)[name]
    return state_of(unfinished(flags)[CHECKPOINT])["appended"].get(name, [len(content)])[0]


SEALED = {CHECKPOINT: FLAGS, METRICS: FLAGS, WEIGHTS: SAVING}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SEALED)
def test_a_flipped_byte_is_found(name, seed, tmp_path):
    size, draw = known(name, SEALED[name]), random.Random(seed)
    places = [*draw.sample(range(size), 12), *range(4 * seed, 4 * seed + 4), size - 1 - seed]
    assert passing(name, places, tmp_path, SEALED[name]) == []


@slow
@pytest.mark.parametrize("name", SEALED)
def test_every_flipped_byte_is_found(name, tmp_path):
    assert passing(name, range(known(name, SEALED[name])), tmp_path, SEALED[name]) == []


def test_a_flip_in_the_configuration_is_found_or_changes_nothing(tmp_path):
    content = unfinished()[CONFIG]
    for where in random.Random(7).sample(range(len(content)), 40):
        changed = flipped(content, where, random.Random(where))
        folder = put(unfinished() | {CONFIG: changed}, tmp_path / "run")
        given = call(folder)
        if given.code:
            assert_one_line(given, str(folder))
        else:
            assert_same(folder)


@slow
@pytest.mark.parametrize("seed", range(10))
def test_a_flip_in_the_summary_is_found(seed, tmp_path):
    content, draw = whole()[SUMMARY], random.Random(seed)
    for where in draw.sample(range(len(content)), 20):
        folder = put(whole() | {SUMMARY: flipped(content, where, draw)}, tmp_path / "run")
        settles(folder)


def test_what_recovers_is_what_was_never_interrupted(tmp_path):
    """The oracle itself: another process's run has these bytes."""
    assert call(tmp_path / "run").code == 0
    assert_same(tmp_path / "run")
