"""Run folders: one writer, one configuration, rows and checkpoints that survive anything."""

import hashlib
import json
import multiprocessing
import os
import stat
import zipfile
from dataclasses import asdict, replace

import pytest
import torch

from configuration import runs
from configuration.config import RunConfig
from configuration.digests import seal

CONFIG = RunConfig(lr=0.01)


def row(step, value=0.1):
    return {"step": step, "epoch": step, "train_loss": value}


def rows_of(folder):
    return (folder / runs.METRICS).read_text().splitlines()[1:]


def test_numbers_come_back_exactly(tmp_path):
    values = [1 / 3, 1e-300, 123456789.123456789, 0.0, float("inf"), None]
    with runs.RunFolder(tmp_path / "a", CONFIG) as folder:
        for step, value in enumerate(values):
            folder.append(row(step, value))
    table = runs.read_metrics(tmp_path / "a")
    assert table["train_loss"].tolist()[:5] == values[:5]
    assert table["train_loss"].isna().tolist() == [False] * 5 + [True]
    assert rows_of(tmp_path / "a")[-1] == "5,5,"


def test_a_row_that_is_being_written_is_not_read(tmp_path):
    with runs.RunFolder(tmp_path / "a", CONFIG) as folder:
        folder.append(row(0, 0.25))
        folder.append(row(10, 0.125))
    path = tmp_path / "a" / runs.METRICS
    path.write_bytes(path.read_bytes()[:-2])  # "0.125" would read as 0.12
    assert runs.read_metrics(tmp_path / "a")["step"].tolist() == [0]


def test_configuration_comes_back_equal_and_unknown_keys_are_refused(tmp_path):
    config = replace(CONFIG, hidden_sizes=(3, 4), log_steps=(1, 2), bias=True)
    with runs.RunFolder(tmp_path, config):
        pass
    assert runs.read_config(tmp_path) == config
    raw = json.loads((tmp_path / runs.CONFIG).read_text())
    (tmp_path / runs.CONFIG).write_text(json.dumps(raw | {"learning_rate": 1}))
    with pytest.raises(runs.RunError, match="learning_rate"):
        runs.read_config(tmp_path)


@pytest.mark.parametrize(
    "change", [{"use_transformer": 0}, {"weight_decay": True}, {"seed": 42.0}, {"lr": "0.01"}]
)
def test_a_value_of_another_type_is_refused_though_it_equals_the_expected_one(tmp_path, change):
    (tmp_path / runs.CONFIG).write_text(json.dumps(asdict(CONFIG) | change))
    with pytest.raises(runs.RunError, match=next(iter(change))):
        runs.Files(tmp_path).config(expected=CONFIG)


@pytest.mark.parametrize("seed", [42, 43])
def test_a_stored_configuration_is_what_it_is_whatever_is_expected(tmp_path, seed):
    stored = replace(CONFIG, seed=seed, hidden_sizes=(3, 4), lr=1)
    (tmp_path / runs.CONFIG).write_text(json.dumps(asdict(stored)))
    for expected in (None, CONFIG, stored, replace(stored, lr=1.0)):
        assert runs.Files(tmp_path).config(expected) == stored


def test_what_was_checked_is_what_is_used_though_the_file_changes_between(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0, 0.25))
        folder.write_summary({})
    files = runs.Files(tmp_path)
    assert files.is_complete()
    (tmp_path / runs.METRICS).write_text("step,epoch,train_loss\n0,0,9\n")
    assert files.metrics()["train_loss"].tolist() == [0.25]
    assert not runs.is_complete(tmp_path)


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({"device": "a CPU"}, ["a CPU"]),
        ({"device": "b", "starts": [{"device": x} for x in "aba"]}, ["a", "b"]),
        ({"device": "b", "starts": [{"device": "a"}, 3, {}]}, ["a"]),
        ({"device": None, "starts": 3}, []),
    ],
)
def test_all_devices_that_computed_a_run_are_named_once_in_their_order(env, names):
    assert runs.devices_of(env) == names


@pytest.mark.parametrize(
    ("change", "device", "arithmetic"),
    [
        ({"softmax_precision": 16}, "cpu", "cpu"),
        ({"softmax_precision": 16}, None, "cpu"),  # no env.json
        ({"softmax_precision": 16}, "cuda:1", "cuda"),
        ({"softmax_precision": 32}, "cpu", "cuda"),  # what everybody has: nothing reads it
        ({"softmax_precision": 16, "loss_function": "stablemax"}, "cpu", "cuda"),
    ],
)
def test_configuration_older_than_half_softmax_is_read_as_what_its_device_computed(
    tmp_path, change, device, arithmetic
):
    raw = asdict(replace(CONFIG, **change))
    del raw["half_softmax"]
    (tmp_path / runs.CONFIG).write_text(json.dumps(raw))
    if device:
        (tmp_path / runs.ENV).write_text(json.dumps({"device_flag": device}))
    assert runs.read_config(tmp_path) == replace(CONFIG, half_softmax=arithmetic, **change)


def test_folder_of_another_configuration_is_refused_and_named(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
    with (
        pytest.raises(runs.RunError, match=r"lr 0.01 -> 0.02.*delete") as caught,
        runs.RunFolder(tmp_path, replace(CONFIG, lr=0.02)),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert runs.read_config(tmp_path) == CONFIG


def hold(path, entered, leave):
    with runs.RunFolder(path, CONFIG):
        entered.set()
        leave.wait(30)


def test_second_process_is_refused_until_the_first_one_ends(tmp_path):
    context = multiprocessing.get_context("fork")
    entered, leave = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path, entered, leave))
    process.start()
    try:
        assert entered.wait(30)
        with (
            pytest.raises(runs.RunBusy, match=str(process.pid)),
            runs.RunFolder(tmp_path, CONFIG),
        ):
            pass
    finally:
        leave.set()
        process.join()
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))


def test_checkpoint_drops_the_rows_that_came_after_it(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.append(row(10))
        folder.save_checkpoint({"weights": torch.arange(3)})
        folder.append(row(20))
    with open(tmp_path / runs.METRICS, "a") as file:
        file.write("30,30,0.")  # a line that a kill cut off
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        state = folder.load_checkpoint()
        assert torch.equal(state["weights"], torch.arange(3))
        folder.append(row(20))
    assert rows_of(tmp_path) == ["0,0,0.1", "10,10,0.1", "20,20,0.1"]


def test_without_a_checkpoint_the_table_starts_again(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        assert folder.load_checkpoint() is None
        folder.append(row(0, 0.5))
    assert rows_of(tmp_path) == ["0,0,0.5"]


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_damaged_checkpoint_says_what_to_delete_and_keeps_the_rows(tmp_path, damage):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({"weights": torch.zeros(1000)})
    path = tmp_path / runs.CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000] if damage is None else damage)
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        with pytest.raises(runs.RunError, match="damaged .*; delete checkpoint.pt") as caught:
            folder.load_checkpoint()
        assert "\n" not in str(caught.value)
    assert rows_of(tmp_path) == ["0,0,0.1"]


def test_table_shorter_than_its_checkpoint_is_refused(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.append(row(1))
        folder.save_checkpoint({})
    text = (tmp_path / runs.METRICS).read_text()
    (tmp_path / runs.METRICS).write_text(text[:-3])
    with (
        runs.RunFolder(tmp_path, CONFIG) as folder,
        pytest.raises(runs.RunError, match="not what it was when .* delete checkpoint.pt"),
    ):
        folder.load_checkpoint()


def test_row_with_other_columns_is_refused(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        with pytest.raises(runs.RunError, match="other columns"):
            folder.append(row(1) | {"test_loss": 1.0})


def test_last_row_ignores_an_unfinished_line(tmp_path):
    assert runs.last_row(tmp_path) is None
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        assert runs.last_row(tmp_path) == {"step": "0", "epoch": "0", "train_loss": "0.1"}
        folder.append(row(10))
    with open(tmp_path / runs.METRICS, "a") as file:
        file.write("20,20,0.")
    assert runs.last_row(tmp_path)["step"] == "10"


def test_clearing_forgets_results_and_keeps_the_configuration(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({})
        folder.write_summary({"steps": 0})
        assert runs.is_complete(tmp_path)
        folder.clear()
        assert not runs.is_complete(tmp_path)
        assert folder.load_checkpoint() is None
    assert runs.read_config(tmp_path) == CONFIG


def test_place_that_cannot_be_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(runs.RunError, match="cannot write to .*choose another") as caught,
        runs.RunFolder(tmp_path / "file" / "run", CONFIG),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_interrupted_replacement_leaves_the_old_file(tmp_path, monkeypatch):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({"step": 1})

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(runs.RunError, match="No space left"):
            folder.save_checkpoint({"step": 2})
        monkeypatch.undo()
        assert folder.load_checkpoint()["step"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint.pt", "config.json", "lock", "metrics.csv"
    ]  # fmt: skip


def test_foreign_folder_is_refused_and_nothing_in_it_is_touched(tmp_path):
    for name in (runs.METRICS, ".travis.yml", ".a.d"):
        (tmp_path / name).write_text("mine")
    with (
        pytest.raises(runs.RunError, match="not a run folder.*--run_dir"),
        runs.RunFolder(tmp_path, CONFIG),
    ):
        pass
    (tmp_path / runs.METRICS).unlink()
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        (tmp_path / f".{runs.CHECKPOINT}.x1").write_text("left by a kill")
        assert folder.load_checkpoint() is None
    assert (tmp_path / ".travis.yml").read_text() == "mine"
    assert (tmp_path / ".a.d").exists() and not (tmp_path / f".{runs.CHECKPOINT}.x1").exists()


@pytest.mark.parametrize("text", ["[]", "{", "\xff"])
def test_damaged_configuration_is_one_line(tmp_path, text):
    (tmp_path / runs.CONFIG).write_bytes(text.encode("latin1"))
    with pytest.raises(runs.RunError, match="is damaged.*delete") as caught:
        runs.read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_last_row_of_something_else_is_none(tmp_path):
    (tmp_path / runs.METRICS).write_bytes(b"step,foo\n1,2\n\xff,3\n")
    assert runs.last_row(tmp_path) is None


def test_start_that_computed_nothing_gives_its_folder_to_another_configuration(tmp_path):
    other = replace(CONFIG, lr=CONFIG.lr * 2)
    with runs.RunFolder(tmp_path, CONFIG):
        pass
    with runs.RunFolder(tmp_path, other) as folder:
        folder.append(row(0))
    assert runs.read_config(tmp_path) == other
    with (
        pytest.raises(runs.RunError, match="another configuration"),
        runs.RunFolder(tmp_path, CONFIG),
    ):
        pass


def test_rows_of_another_version_are_refused_with_the_file_and_the_remedy(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append({"step": 0, "epoch": 0, "other": 1})
        folder.save_checkpoint({})
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.load_checkpoint()
        with pytest.raises(runs.RunError, match="other columns .* delete its folder"):
            folder.append(row(10))


def test_last_row_that_is_no_numbers_is_none(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
    with open(tmp_path / runs.METRICS, "a") as file:
        file.write("20,x,0.5\n")
    assert runs.last_row(tmp_path) is None


def test_file_that_cannot_be_replaced_stays_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "page.md").write_text("old")

    def half(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        runs.replace_file(tmp_path / "page.md", half)
    assert [p.name for p in tmp_path.iterdir()] == ["page.md"]
    assert (tmp_path / "page.md").read_text() == "old"


def test_weights_of_an_unfinished_run_are_not_its_final_ones(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({"model": {"w": 1}})
        with pytest.raises(runs.RunError, match="not a complete run; start it again"):
            runs.load_final_state(tmp_path)
        folder.write_summary({"steps": 0})
    assert runs.load_final_state(tmp_path) == {"w": 1}


# ---------------------------------------------------------------------------------- digests


def complete(path):
    """A complete run of two rows with a derived table."""
    with runs.RunFolder(path, CONFIG) as folder:
        folder.append(row(0))
        folder.append(row(10, 0.5))
        folder.save_checkpoint({"model": {"w": 1}})
        folder.write_summary({"steps": 10, "diverged_at_step": None})
    runs.write_derived(path, {runs.SPECTRUM: "frequency,final\n1,0.5\n"})
    return path


def continued(path, config=CONFIG):
    with runs.RunFolder(path, config) as folder:
        return folder.load_checkpoint()


def refusal(path, config=CONFIG) -> str:
    before = {p: p.read_bytes() for p in path.iterdir() if p.name != runs.LOCK}
    with pytest.raises(runs.RunError) as caught:
        continued(path, config)
    assert before == {p: p.read_bytes() for p in path.iterdir() if p.name != runs.LOCK}
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_checkpoint_is_an_archive_whose_comment_is_the_digest_of_the_rest(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.save_checkpoint({"weights": torch.arange(3)})
    path = tmp_path / runs.CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        data, comment = path.read_bytes(), archive.comment
    assert data.endswith(comment)
    assert comment.decode() == hashlib.sha256(data[: -len(comment)]).hexdigest()
    assert torch.equal(torch.load(path)["weights"], torch.arange(3))


def test_checkpoint_with_any_byte_changed_cut_or_added_is_refused(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({"weights": torch.zeros(3)})
        path = tmp_path / runs.CHECKPOINT
        whole = path.read_bytes()
        flipped = (
            whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]
            for i in range(0, len(whole), 7)
        )
        others = [whole[:n] for n in (0, 1, 64, len(whole) - 1)] + [whole + b"\0", whole + whole]
        count = 0
        for count, data in enumerate((*flipped, *others), 1):  # noqa: B007
            path.write_bytes(data)
            with pytest.raises(
                runs.RunError, match=r"damaged .*delete checkpoint.pt to compute this run"
            ):
                folder.load_checkpoint()
        assert count > 100
        path.write_bytes(whole)
        assert folder.load_checkpoint()["weights"].tolist() == [0, 0, 0]


def test_checkpoint_without_a_digest_is_refused(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({})
    torch.save(torch.load(tmp_path / runs.CHECKPOINT), tmp_path / runs.CHECKPOINT)
    assert "or it has none" in refusal(tmp_path)


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    for name, config in (("a", CONFIG), ("b", replace(CONFIG, seed=43))):
        with runs.RunFolder(tmp_path / name, config) as folder:
            folder.append(row(0))
            folder.save_checkpoint({})
    os.replace(tmp_path / "a" / runs.CHECKPOINT, tmp_path / "b" / runs.CHECKPOINT)
    assert "of another configuration; delete checkpoint.pt" in refusal(tmp_path / "b", config)


ALTERED = {
    "a digit": lambda rows: [rows[0], rows[1].replace(b"1", b"2", 1), *rows[2:]],
    "twice": lambda rows: [*rows[:2], rows[1], *rows[2:]],
    "swapped": lambda rows: [rows[0], rows[2], rows[1], *rows[3:]],
    "lost": lambda rows: [rows[0], *rows[2:]],
    "CRLF": lambda rows: [r.replace(b"\n", b"\r\n") for r in rows],
    "another header": lambda rows: [rows[0].replace(b"train", b"tests"), *rows[1:]],
    "NUL": lambda rows: [*rows[:2], b"\0" * len(rows[2]), *rows[3:]],
    "empty": lambda rows: [],
}


@pytest.mark.parametrize("change", ALTERED.values(), ids=ALTERED)
def test_altered_rows_are_neither_continued_nor_complete(tmp_path, change):
    begun = tmp_path / "begun"
    with runs.RunFolder(begun, CONFIG) as folder:
        folder.append(row(0))
        folder.append(row(10))
        folder.save_checkpoint({})
        folder.append(row(20))
    whole = complete(tmp_path / "whole")
    for path in (begun, whole):
        lines = (path / runs.METRICS).read_bytes().splitlines(keepends=True)
        (path / runs.METRICS).write_bytes(b"".join(change(lines)))
    assert "metrics.csv is not what it was" in refusal(begun)
    assert not runs.is_complete(whole)
    with pytest.raises(runs.RunError, match=r"metrics.csv is not as the run left it; copy"):
        runs.read_summary(whole)
    assert "delete its folder" in refusal(whole)
    (whole / runs.CHECKPOINT).unlink()
    assert "copy it again" in refusal(whole)


def test_summary_that_was_altered_is_not_believed_and_written_again(tmp_path):
    path = complete(tmp_path) / runs.SUMMARY
    for old, new in ((b"10", b"20"), (b"steps", b"stops"), (b"sha256", b"sha512"), (b"}", b"")):
        whole = path.read_bytes()
        path.write_bytes(whole.replace(old, new, 1))
        assert not runs.is_complete(tmp_path)
        path.write_bytes(whole)
    path.write_bytes(b"")
    assert continued(tmp_path)["model"] == {"w": 1}
    assert not path.exists()


def test_configuration_swapped_under_a_complete_run_is_not_believed(tmp_path):
    path = complete(tmp_path) / runs.CONFIG
    path.write_text(json.dumps(asdict(replace(CONFIG, lr=0.02))))
    assert not runs.is_complete(tmp_path)
    with pytest.raises(runs.RunError, match=r"config.json is not as the run left it"):
        runs.read_summary(tmp_path)


def test_derived_table_counts_only_as_it_was_written(tmp_path):
    complete(tmp_path)
    assert runs.is_complete(tmp_path) and runs.has_derived(tmp_path, runs.SPECTRUM)
    assert not runs.has_derived(tmp_path, runs.LANDSCAPE)
    (tmp_path / runs.LANDSCAPE).write_text("a,b\n")  # by nobody of ours
    (tmp_path / runs.SPECTRUM).write_text("frequency,final\n1,0.6\n")
    assert not runs.has_derived(tmp_path, runs.LANDSCAPE)
    assert not runs.has_derived(tmp_path, runs.SPECTRUM)
    assert runs.is_complete(tmp_path)


def test_checkpoint_of_the_middle_is_not_taken_for_the_final_one(tmp_path):
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        folder.save_checkpoint({"model": {"w": 0}})
        middle = (tmp_path / runs.CHECKPOINT).read_bytes()
        folder.append(row(10))
        folder.save_checkpoint({"model": {"w": 1}})
        folder.write_summary({"steps": 10})
    assert runs.load_final_state(tmp_path) == {"w": 1}
    (tmp_path / runs.CHECKPOINT).write_bytes(middle)
    with pytest.raises(runs.RunError, match="not of the run's end"):
        runs.load_final_state(tmp_path)


@pytest.mark.parametrize("write", ["row", "checkpoint", "summary"])
def test_writer_whose_lock_is_gone_stops_before_it_writes(tmp_path, write):
    with runs.RunFolder(tmp_path, CONFIG) as first:
        first.append(row(0))
        (tmp_path / runs.LOCK).unlink()
        with runs.RunFolder(tmp_path, CONFIG) as second:
            second.load_checkpoint()
            second.append(row(0, 0.25))
            calls = {
                "row": lambda: first.append(row(10)),
                "checkpoint": lambda: first.save_checkpoint({}),
                "summary": lambda: first.write_summary({}),
            }
            with pytest.raises(runs.RunError):
                calls[write]()
    assert rows_of(tmp_path) == ["0,0,0.25"]
    assert not {runs.CHECKPOINT, runs.SUMMARY} & {p.name for p in tmp_path.iterdir()}


def test_rows_deleted_or_changed_under_their_writer_are_noticed(tmp_path):
    path = tmp_path / runs.METRICS
    with runs.RunFolder(tmp_path, CONFIG) as folder:
        folder.append(row(0))
        text = path.read_text()
        path.unlink()
        for replaced in (None, text + "10,10,0.1\n"):
            if replaced is not None:
                path.write_text(replaced)
            with pytest.raises(runs.RunError, match="cannot write .*metrics.csv"):
                folder.append(row(10))
        path.write_text(text.replace("0.1", "0.2"))
        with pytest.raises(runs.RunError, match="changed while this run was writing it"):
            folder.write_summary({})
        path.write_text(text)
        folder.write_summary({})
    assert runs.is_complete(tmp_path)


def test_an_archive_is_sealed_once():
    with pytest.raises(ValueError, match="comment already"):
        seal(b"PK\5\6" + b"\0" * 18 + b"a comment")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("step,epoch,train_loss\n0,0,1\n,1,1\n", "column step does not rise"),
        ("step,epoch,train_loss\n0,0,1\n0,1,1\n", "column step does not rise"),
        ("step,epoch,train_loss\n0,0,1\n1,0,1\n", "column epoch does not rise"),
        ("step,epoch,train_loss\n0,0,word\n", "no numbers in column train_loss"),
        ("step,epoch,train_loss\n0,0,\0\n", "no numbers in column train_loss"),
        ("step,train_loss\n0,1\n", "no column epoch"),
        ("step,epoch,train_loss\n", "no row"),
        ("", "no column step"),
    ],
)
def test_table_that_is_none_of_numbers_at_rising_steps_is_one_line(tmp_path, text, reason):
    (tmp_path / runs.METRICS).write_text(text)
    with pytest.raises(runs.RunError, match=rf"metrics.csv cannot be read \(.*{reason}.*delete"):
        runs.read_metrics(tmp_path)


def test_configuration_nested_too_deeply_or_unreadable_is_one_line(tmp_path):
    (tmp_path / runs.CONFIG).write_text("[" * 200_000)
    with pytest.raises(runs.RunError, match=r"config.json is damaged .*delete"):
        runs.read_config(tmp_path)
    (tmp_path / runs.SUMMARY).mkdir()
    with pytest.raises(runs.RunError, match=r"summary.json cannot be read"):
        runs.read_summary(tmp_path)


def test_files_have_the_permissions_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        complete(tmp_path)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert set(modes.values()) == {0o640}, modes
