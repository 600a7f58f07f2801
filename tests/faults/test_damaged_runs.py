"""A damaged run folder: the next start makes the same bytes of it, or says what to delete."""

import json
import os
import random
import zipfile

import pytest
import torch
from faulty import (
    FLAGS,
    SAVING,
    assert_recovers,
    assert_same,
    call,
    files,
    flipped,
    forge,
    put,
    saved,
    unfinished,
    whole,
)

from configuration import runs
from configuration.runs import CHECKPOINT, CONFIG, ENV, LOCK, METRICS, SUMMARY, WEIGHTS
from conftest import slow

OTHER_SEED, OTHER_LR = FLAGS + " --seed 43", FLAGS.replace("0.01", "0.02")
FOLDER = "."


def to(name, how):
    """The damage `how`, bytes to bytes, to a file."""
    return lambda folder: (folder / name).write_bytes(how((folder / name).read_bytes()))


def becomes(name, content):
    """The file holds `content`, or what it makes when it is called."""
    return lambda folder: (folder / name).write_bytes(content() if callable(content) else content)


def rows(how):
    """Damage to the list of lines of metrics.csv: 0 is the header, 1 to 6 are known, 7, 8 not."""
    return to(METRICS, lambda text: b"".join(how(text.splitlines(keepends=True))))


def gone(name):
    return lambda folder: (folder / name).unlink()


def a_folder(name):
    def damage(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return damage


def a_link(name, target="nowhere"):
    def damage(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return damage


def moved_behind_a_link(name):
    def damage(folder):
        os.rename(folder / name, folder / "elsewhere")
        (folder / name).symlink_to("elsewhere")

    return damage


def of_torch_alone(**values):
    """The checkpoint as torch writes it, with other values: a true archive without the seal."""
    return to(CHECKPOINT, lambda _: saved(torch.load(_file(_), weights_only=True) | values))


def _file(content):
    import io

    return io.BytesIO(content)


def forged(**values):
    return lambda folder: forge(folder, **values)


def without(key):
    def damage(folder):
        state = torch.load(folder / CHECKPOINT, weights_only=True)
        with runs.RunFolder(folder, runs.read_config(folder)) as entered:
            entered.load_checkpoint()
            entered.save_checkpoint({k: v for k, v in state.items() if k != key})

    return damage


def middle(old, new):
    """A change in the midst of a file."""
    return lambda text: text[: len(text) // 2] + text[len(text) // 2 :].replace(old, new, 1)


class Evil:
    """Makes a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def altered(lines, row):
    """The last digit of a row is another one."""
    digit = lines[row][-2:-1]
    lines[row] = lines[row][:-2] + (b"1" if digit != b"1" else b"2") + b"\n"
    return lines


def configured(**values):
    return to(CONFIG, lambda text: json.dumps(json.loads(text) | values).encode())


def summarized(**values):
    return to(SUMMARY, lambda text: json.dumps(json.loads(text) | values).encode())


def swapped(lines, a, b):
    lines[a], lines[b] = lines[b], lines[a]
    return lines


AGAIN = ("delete", CHECKPOINT)  # from step 0
ANEW = ("delete", FOLDER)
OF_A_RUN = {
    # ------------------------------------------------------------------ checkpoint.pt
    "checkpoint empty": (becomes(CHECKPOINT, b""), *AGAIN),
    "checkpoint half": (to(CHECKPOINT, lambda b: b[: len(b) // 2]), *AGAIN),
    "checkpoint without its first half": (to(CHECKPOINT, lambda b: b[len(b) // 2 :]), *AGAIN),
    "checkpoint a byte short": (to(CHECKPOINT, lambda b: b[:-1]), *AGAIN),
    "checkpoint without its first byte": (to(CHECKPOINT, lambda b: b[1:]), *AGAIN),
    "a byte behind the checkpoint": (to(CHECKPOINT, lambda b: b + b"\0"), *AGAIN),
    "garbage behind the checkpoint": (to(CHECKPOINT, lambda b: b + b"garbage" * 99), *AGAIN),
    "checkpoint twice": (to(CHECKPOINT, lambda b: b + b), *AGAIN),
    "halves of the checkpoint exchanged": (
        to(CHECKPOINT, lambda b: b[len(b) // 2 :] + b[: len(b) // 2]), *AGAIN),
    "zeros in the checkpoint": (
        to(CHECKPOINT, lambda b: b[:4096] + bytes(512) + b[4608:]), *AGAIN),
    "checkpoint of zeros": (to(CHECKPOINT, lambda b: bytes(len(b))), *AGAIN),
    "checkpoint random": (to(CHECKPOINT, lambda b: random.Random(1).randbytes(len(b))), *AGAIN),
    "checkpoint a text": (becomes(CHECKPOINT, b"not a checkpoint\n"), *AGAIN),
    "checkpoint an archive of nothing": (
        lambda folder: zipfile.ZipFile(folder / CHECKPOINT, "w").close(), *AGAIN),
    "checkpoint a number": (becomes(CHECKPOINT, saved(3)), *AGAIN),
    "checkpoint a table without keys": (becomes(CHECKPOINT, saved({})), *AGAIN),
    "checkpoint of torch alone": (of_torch_alone(), *AGAIN),
    "checkpoint of torch alone, another step": (of_torch_alone(step=5), *AGAIN),
    "malicious archive": (becomes(CHECKPOINT, lambda: saved({"rows": 6, "model": Evil()})), *AGAIN),
    "malicious archive with a seal": (forged(model=Evil()), *AGAIN),
    "checkpoint of another seed": (
        becomes(CHECKPOINT, lambda: unfinished(OTHER_SEED)[CHECKPOINT]), *AGAIN),
    "checkpoint of another learning rate": (
        becomes(CHECKPOINT, lambda: unfinished(OTHER_LR)[CHECKPOINT]), *AGAIN),
    "checkpoint of this run's end": (
        becomes(CHECKPOINT, lambda: whole()[CHECKPOINT]), *AGAIN),
    "an older checkpoint of this run": (
        becomes(CHECKPOINT, lambda: unfinished(step=5)[CHECKPOINT]), "", ""),
    "checkpoint gone": (gone(CHECKPOINT), "", ""),
    "checkpoint a dangling link": (a_link(CHECKPOINT), "", ""),
    "checkpoint behind a link": (moved_behind_a_link(CHECKPOINT), "", ""),
    "checkpoint a folder": (a_folder(CHECKPOINT), CHECKPOINT, ""),
    **{f"step {step!r}": (forged(step=step), *AGAIN) for step in (-5, 21, 10**6, 12.5, "x", None)},
    **{f"rows {rows!r}": (forged(rows=rows), *AGAIN) for rows in (-1, 7, 10**9, 6.0, "x", None)},
    **{f"no {key} in the checkpoint": (without(key), *AGAIN)
       for key in ("step", "rows", "model", "optimizer", "batches", "rng", "seconds")},
    "no weights in the checkpoint": (forged(model={}), *AGAIN),
    "weights of another shape": (
        forged(model={k: torch.zeros(3) for k in ("layers.0.weight", "layers.2.weight")}), *AGAIN),
    "no state of the optimizer": (forged(optimizer=None), *AGAIN),
    "seconds a word": (forged(seconds="long"), *AGAIN),
    # ------------------------------------------------------------------ metrics.csv
    "half a row": (lambda f: None, "", ""),
    "no row is younger": (rows(lambda r: r[:7]), "", ""),
    "last row without its end": (rows(lambda r: [*r[:8], r[8][:-1]]), "", ""),
    "a younger row altered": (rows(lambda r: altered(r, 7)), "", ""),
    "younger rows exchanged": (rows(lambda r: swapped(r, 7, 8)), "", ""),
    "a younger row twice": (rows(lambda r: [*r[:8], r[7], *r[8:]]), "", ""),
    "zeros behind the rows": (to(METRICS, lambda b: b + bytes(4096)), "", ""),
    "a known row lost": (rows(lambda r: r[:6]), *AGAIN),
    "a known row lost before younger ones": (rows(lambda r: r[:4] + r[5:]), *AGAIN),
    "row 0 lost before a younger one": (rows(lambda r: [r[0], *r[2:8]]), *AGAIN),
    "half of a known row": (rows(lambda r: [*r[:6], r[6][:20]]), *AGAIN),
    "a known row twice": (rows(lambda r: [*r[:4], r[3], *r[4:]]), *AGAIN),
    "two known rows exchanged": (rows(lambda r: swapped(r, 2, 3)), *AGAIN),
    "a known value altered by a digit": (rows(lambda r: altered(r, 3)), *AGAIN),
    "a known step altered": (rows(lambda r: [*r[:3], b"3" + r[3][1:], *r[4:]]), *AGAIN),
    "a cell of a known row empty": (
        rows(lambda r: [*r[:3], b"," + r[3].partition(b",")[2], *r[4:]]), *AGAIN),
    "a cell of a known row no text": (to(METRICS, middle(b"0", b"\xff")), *AGAIN),
    "a word in a known row": (rows(lambda r: [*r[:3], b"two" + r[3][1:], *r[4:]]), *AGAIN),
    "zeros in a known row": (rows(lambda r: [*r[:3], bytes(len(r[3]) - 1) + b"\n", *r[4:]]), *AGAIN),
    "a second header": (rows(lambda r: [*r[:3], r[0], *r[3:]]), *AGAIN),
    "a header renamed": (rows(lambda r: [r[0].replace(b"epoch", b"epoxy"), *r[1:]]), *AGAIN),
    "header lost": (rows(lambda r: r[1:]), *AGAIN),
    "a column lost": (rows(lambda r: [x.rpartition(b",")[0] + b"\n" for x in r[:-1]]), *AGAIN),
    "line ends of another system": (rows(lambda r: [x[:-1] + b"\r\n" for x in r[:-1]]), *AGAIN),
    "a byte order mark": (to(METRICS, lambda b: b"\xef\xbb\xbf" + b), *AGAIN),
    "a blank line": (rows(lambda r: [*r[:3], b"\n", *r[3:]]), *AGAIN),
    "metrics empty": (becomes(METRICS, b""), *AGAIN),
    "metrics of zeros": (to(METRICS, lambda b: bytes(len(b))), *AGAIN),
    "metrics gone": (gone(METRICS), *AGAIN),
    "metrics a folder": (a_folder(METRICS), METRICS, ""),
    "metrics a dangling link": (a_link(METRICS), *AGAIN),
    "metrics behind a link": (moved_behind_a_link(METRICS), "", ""),
    "metrics of another run": (
        becomes(METRICS, lambda: unfinished(OTHER_SEED)[METRICS]), *AGAIN),
    "checkpoint and metrics of another run": (
        lambda f: put({n: unfinished(OTHER_SEED)[n] for n in (METRICS, CHECKPOINT)}, f), *AGAIN),
    # ------------------------------------------------------------------ config.json
    "config cut": (to(CONFIG, lambda b: b[:40]), "is damaged", FOLDER),
    "config empty": (becomes(CONFIG, b""), "is damaged", FOLDER),
    "config a list": (becomes(CONFIG, b"[]"), "is damaged", FOLDER),
    "config null": (becomes(CONFIG, b"null"), "is damaged", FOLDER),
    "config a string": (becomes(CONFIG, b'"lr"'), "is damaged", FOLDER),
    "config of zeros": (to(CONFIG, lambda b: bytes(len(b))), "is damaged", FOLDER),
    "config no text": (becomes(CONFIG, b'{"lr": "\xff"}'), "is damaged", FOLDER),
    "config nested deep": (becomes(CONFIG, b"[" * 200_000), "is damaged", FOLDER),
    "config with an empty name": (becomes(CONFIG, b"{}"), "not a configuration", FOLDER),
    "config with a key of another program": (configured(learning=1), "learning", FOLDER),
    "config with a table for a number": (configured(lr={"a": 1}), "lr", FOLDER),
    "config with a word for a number": (configured(modulo="seven"), "modulo", FOLDER),
    "config with a number that is none": (to(CONFIG, lambda b: b.replace(b"0.01", b"NaN")), "lr", FOLDER),
    "a value of the config altered": (configured(lr=0.03), "lr 0.03 -> 0.01", FOLDER),
    "the seed of the config altered": (configured(seed=43), "seed 43 -> 42", FOLDER),
    "config gone": (gone(CONFIG), "not a run folder; choose another --run_dir", ""),
    "config a folder": (a_folder(CONFIG), "choose another --run_dir", ""),
    "config a dangling link": (a_link(CONFIG), "choose another --run_dir", ""),
    "config behind a link": (moved_behind_a_link(CONFIG), "", ""),
    # ------------------------------------------------------------------ the others
    "env a folder": (a_folder(ENV), ENV, ""),
    "env damaged": (becomes(ENV, b"\xff{"), "", ""),
    "lock a folder": (a_folder(LOCK), "cannot write", ""),
    "lock of a process that is gone": (becomes(LOCK, b"4194304 on nowhere\n"), "", ""),
    "lock of garbage": (becomes(LOCK, b"\xff\0" * 99), "", ""),
    "lock a dangling link": (a_link(LOCK), "", ""),
    "temporaries of a kill": (
        lambda f: [(f / f".{n}.x1").write_bytes(b"half") for n in (CHECKPOINT, METRICS)], "", ""),
    "a summary of another run": (becomes(SUMMARY, lambda: whole(OTHER_SEED)[SUMMARY]), "", ""),
    "the summary of this run's end": (becomes(SUMMARY, lambda: whole()[SUMMARY]), "", ""),
    "an empty summary": (becomes(SUMMARY, b""), "", ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", OF_A_RUN)
def test_unfinished_run_recovers_from(fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage, said, delete = OF_A_RUN[fault]
    folder = put(unfinished(), tmp_path / "run")
    damage(folder)
    assert_recovers(folder, said, delete)
    assert not (tmp_path / "executed").exists()
    assert not [p for p in folder.iterdir() if p.name.startswith(".")] or said


OF_WEIGHTS = {
    "half of the last weights": (lambda f: None, "", ""),
    "no younger weights": (to(WEIGHTS, lambda b: b[: len(unfinished()[METRICS])]), "", ""),
    "younger weights altered": (to(WEIGHTS, lambda b: b[:-900] + b"x" + b[-899:]), "", ""),
    "a known weight altered": (to(WEIGHTS, lambda b: b[:100] + b"xxxx" + b[104:]), *AGAIN),
    "weights cut": (to(WEIGHTS, lambda b: b[:1000]), *AGAIN),
    "weights without a header": (to(WEIGHTS, lambda b: b"weighed1" + b[8:]), *AGAIN),
    "weights of another width": (to(WEIGHTS, lambda b: b[:8] + b"\1" + b[9:]), *AGAIN),
    "weights empty": (becomes(WEIGHTS, b""), *AGAIN),
    "weights gone": (gone(WEIGHTS), *AGAIN),
    "weights of another run": (
        becomes(WEIGHTS, lambda: unfinished(SAVING + " --seed 43")[WEIGHTS]), *AGAIN),
}  # fmt: skip
del OF_WEIGHTS["no younger weights"]


@pytest.mark.parametrize("fault", OF_WEIGHTS)
def test_unfinished_run_that_saves_its_weights_recovers_from(fault, tmp_path):
    damage, said, delete = OF_WEIGHTS[fault]
    folder = put(unfinished(SAVING), tmp_path / "run")
    damage(folder)
    assert_recovers(folder, said, delete, SAVING)


OF_A_COMPLETE_RUN = {
    "summary gone": (gone(SUMMARY), "", ""),
    "summary empty": (becomes(SUMMARY, b""), "", ""),
    "summary cut": (to(SUMMARY, lambda b: b[: len(b) // 2]), "", ""),
    "summary of zeros": (to(SUMMARY, lambda b: bytes(len(b))), "", ""),
    "summary null": (becomes(SUMMARY, b"null"), "", ""),
    "summary a list": (becomes(SUMMARY, b"[]"), "", ""),
    "summary a table of nothing": (becomes(SUMMARY, b"{}"), "", ""),
    "summary no text": (becomes(SUMMARY, b'{"\xff": 1}'), "", ""),
    "summary nested deep": (becomes(SUMMARY, b"[" * 200_000), "", ""),
    "summary a dangling link": (a_link(SUMMARY), "", ""),
    "summary of another run": (becomes(SUMMARY, lambda: whole(OTHER_SEED)[SUMMARY]), "", ""),
    "summary a folder": (a_folder(SUMMARY), SUMMARY, ""),
    "a row behind the last": (rows(lambda r: [*r, r[-1]]), "", ""),
    "metrics gone": (gone(METRICS), *AGAIN),
    "metrics empty": (becomes(METRICS, b""), *AGAIN),
    "the last row lost": (rows(lambda r: r[:-1]), *AGAIN),
    "half of the last row": (rows(lambda r: [*r[:-1], r[-1][:20]]), *AGAIN),
    "a row lost": (rows(lambda r: r[:3] + r[4:]), *AGAIN),
    "a row twice": (rows(lambda r: r[:3] + r[2:]), *AGAIN),
    "two rows exchanged": (rows(lambda r: swapped(r, 2, 3)), *AGAIN),
    "a value altered by a digit": (rows(lambda r: altered(r, 3)), *AGAIN),
    "a header renamed": (rows(lambda r: [r[0].replace(b"epoch", b"epoxy"), *r[1:]]), *AGAIN),
    "line ends of another system": (rows(lambda r: [x[:-1] + b"\r\n" for x in r]), *AGAIN),
    "metrics of another run": (becomes(METRICS, lambda: whole(OTHER_SEED)[METRICS]), *AGAIN),
    "metrics altered, checkpoint gone": (
        lambda f: (rows(lambda r: altered(r, 3))(f), gone(CHECKPOINT)(f)), "", ""),
    "the config altered": (configured(lr=0.03), "lr 0.03 -> 0.01", FOLDER),
}  # fmt: skip


@pytest.mark.parametrize("fault", OF_A_COMPLETE_RUN)
def test_complete_run_recovers_from(fault, tmp_path):
    damage, said, delete = OF_A_COMPLETE_RUN[fault]
    folder = put(whole(), tmp_path / "run")
    damage(folder)
    assert_recovers(folder, said, delete)


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


def refuses(name, content, where, tmp_path, flags=FLAGS) -> bool:
    """Whether an unfinished run with one byte of a file changed is refused as it is loaded."""
    files = unfinished(flags)
    draw = random.Random(where)
    folder = put(files | {name: flipped(content, where, draw)}, tmp_path / "run")
    config = runs.RunConfig(**json.loads(files[CONFIG], object_hook=_tuples))
    try:
        with runs.RunFolder(folder, config) as entered:
            entered.load_checkpoint()
    except runs.RunError as error:
        assert "delete" in str(error) and "\n" not in str(error)
        return True
    return False


def _tuples(raw):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}


def places(most: int, count: int, seed: int) -> list[int]:
    """Where to flip, spread over a file, the last bytes among them."""
    draw = random.Random(seed)
    return sorted({*draw.sample(range(most), min(count, most)), *range(most - 5, most)})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name, flags", [(CHECKPOINT, FLAGS), (METRICS, FLAGS), (WEIGHTS, SAVING)])
def test_every_flipped_byte_is_found(name, flags, seed, tmp_path):
    content = unfinished(flags)[name]
    known = len(content)
    if name == METRICS:
        known = sum(map(len, content.splitlines(keepends=True)[:7]))
    if name == WEIGHTS:
        known = runs.WEIGHTS_HEADER.size + 6 * 4 * (14 * 8 + 8 * 7)
    passed = [p for p in places(known, 20, seed) if not refuses(name, content, p, tmp_path, flags)]
    assert passed == []


def test_a_flip_in_the_configuration_is_refused_or_changes_nothing(tmp_path):
    content = unfinished()[CONFIG]
    for where in places(len(content), 40, 7):
        if not refuses(CONFIG, content, where, tmp_path):
            assert runs.read_config(tmp_path / "run") == runs.read_config(
                put(unfinished(), tmp_path / "intact")
            )


@slow
@pytest.mark.parametrize("name", [CHECKPOINT, METRICS])
def test_no_single_flipped_byte_passes(name, tmp_path):
    content = unfinished()[name]
    known = len(content)
    if name == METRICS:
        known = sum(map(len, content.splitlines(keepends=True)[:7]))
    passed = [p for p in range(known) if not refuses(name, content, p, tmp_path)]
    assert passed == []


def test_what_recovers_is_what_was_never_interrupted(tmp_path):
    """The oracle itself: another process's run has these bytes."""
    assert call(tmp_path / "run").code == 0
    assert_same(tmp_path / "run")
