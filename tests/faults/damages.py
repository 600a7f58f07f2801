"""What can become of the files of a run folder: {fault: (damage, words of the refusal)}."""

import io
import json
import os
import random
import zipfile

import torch
from faulty import FLAGS, SAVING, put, saved, unfinished, whole

from configuration.digests import seal
from configuration.runs import CHECKPOINT, CONFIG, ENV, LOCK, METRICS, SUMMARY, WEIGHTS

OTHER_SEED, OTHER_LR = FLAGS + " --seed 43", FLAGS.replace("0.01", "0.02")


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


def state_of(content):
    return torch.load(io.BytesIO(content), weights_only=True)


def of_torch_alone(**values):
    """The checkpoint as torch writes it, with other values: a true archive without the seal."""
    return to(CHECKPOINT, lambda content: saved(state_of(content) | values))


def forged(without=None, **values):
    """The checkpoint with other values and a true seal."""

    def how(content):
        state = state_of(content) | values
        return seal(saved({k: v for k, v in state.items() if k != without}))

    return to(CHECKPOINT, how)


def remembered(size):
    """A checkpoint with a true seal that remembers another size of metrics.csv."""

    def how(content):
        state = state_of(content)
        state["appended"][METRICS] = (size, state["appended"][METRICS][1])
        return seal(saved(state))

    return to(CHECKPOINT, how)


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


DELETE = "delete"
# fault: (damage, words of the refusal; none where the same bytes come at once)
OF_A_RUN = {
    # ------------------------------------------------------------------ checkpoint.pt
    "checkpoint empty": (becomes(CHECKPOINT, b""), DELETE),
    "checkpoint half": (to(CHECKPOINT, lambda b: b[: len(b) // 2]), DELETE),
    "checkpoint without its first half": (to(CHECKPOINT, lambda b: b[len(b) // 2 :]), DELETE),
    "checkpoint a byte short": (to(CHECKPOINT, lambda b: b[:-1]), DELETE),
    "checkpoint without its first byte": (to(CHECKPOINT, lambda b: b[1:]), DELETE),
    "a byte behind the checkpoint": (to(CHECKPOINT, lambda b: b + b"\0"), DELETE),
    "garbage behind the checkpoint": (to(CHECKPOINT, lambda b: b + b"garbage" * 99), DELETE),
    "checkpoint twice": (to(CHECKPOINT, lambda b: b + b), DELETE),
    "halves of the checkpoint exchanged": (
        to(CHECKPOINT, lambda b: b[len(b) // 2 :] + b[: len(b) // 2]), DELETE),
    "zeros in the checkpoint": (
        to(CHECKPOINT, lambda b: b[:4096] + bytes(512) + b[4608:]), DELETE),
    "checkpoint of zeros": (to(CHECKPOINT, lambda b: bytes(len(b))), DELETE),
    "checkpoint random": (to(CHECKPOINT, lambda b: random.Random(1).randbytes(len(b))), DELETE),
    "checkpoint a text": (becomes(CHECKPOINT, b"not a checkpoint\n"), DELETE),
    "checkpoint an archive of nothing": (
        lambda folder: zipfile.ZipFile(folder / CHECKPOINT, "w").close(), DELETE),
    "checkpoint a number": (becomes(CHECKPOINT, saved(3)), DELETE),
    "checkpoint a table without keys": (becomes(CHECKPOINT, saved({})), DELETE),
    "checkpoint of torch alone": (of_torch_alone(), DELETE),
    "checkpoint of torch alone, another step": (of_torch_alone(step=5), DELETE),
    "malicious archive": (becomes(CHECKPOINT, lambda: saved({"rows": 6, "model": Evil()})), DELETE),
    "malicious archive with a seal": (forged(model=Evil()), DELETE),
    "checkpoint of another seed": (
        becomes(CHECKPOINT, lambda: unfinished(OTHER_SEED)[CHECKPOINT]), DELETE),
    "checkpoint of another learning rate": (
        becomes(CHECKPOINT, lambda: unfinished(OTHER_LR)[CHECKPOINT]), DELETE),
    "checkpoint of this run's end": (
        becomes(CHECKPOINT, lambda: whole()[CHECKPOINT]), DELETE),
    "an older checkpoint of this run": (
        becomes(CHECKPOINT, lambda: unfinished(step=5)[CHECKPOINT]), ""),
    "checkpoint gone": (gone(CHECKPOINT), ""),
    "checkpoint a dangling link": (a_link(CHECKPOINT), ""),
    "checkpoint behind a link": (moved_behind_a_link(CHECKPOINT), ""),
    **{f"step {step!r}": (forged(step=step), DELETE) for step in (-5, 17, 10**6, 12.5, "x", None)},
    **{f"metrics of {size!r} bytes": (remembered(size), DELETE)
       for size in (-1, 5, 10**9, 6.5, "x", None)},
    **{f"no {key} in the checkpoint": (forged(without=key), DELETE)
       for key in ("step", "model", "optimizer", "batches", "rng", "config", "appended")},
    "digest of another configuration": (forged(config="0" * 64), DELETE),
    "no digests in the checkpoint": (forged(appended={}), DELETE),
    "no weights in the checkpoint": (forged(model={}), DELETE),
    "weights of another shape": (
        forged(model={k: torch.zeros(3) for k in ("layers.0.weight", "layers.2.weight")}), DELETE),
    "no state of the optimizer": (forged(optimizer=None), DELETE),
    "seconds a word": (forged(seconds="long"), DELETE),
    # ------------------------------------------------------------------ metrics.csv
    "half a row": (lambda f: None, ""),
    "no row is younger": (rows(lambda r: r[:7]), ""),
    "last row without its end": (rows(lambda r: [*r[:8], r[8][:-1]]), ""),
    "a younger row altered": (rows(lambda r: altered(r, 7)), ""),
    "younger rows exchanged": (rows(lambda r: swapped(r, 7, 8)), ""),
    "a younger row twice": (rows(lambda r: [*r[:8], r[7], *r[8:]]), ""),
    "zeros behind the rows": (to(METRICS, lambda b: b + bytes(4096)), ""),
    "a known row lost": (rows(lambda r: r[:6]), DELETE),
    "a known row lost before younger ones": (rows(lambda r: r[:4] + r[5:]), DELETE),
    "row 0 lost before a younger one": (rows(lambda r: [r[0], *r[2:8]]), DELETE),
    "half of a known row": (rows(lambda r: [*r[:6], r[6][:20]]), DELETE),
    "a known row twice": (rows(lambda r: [*r[:4], r[3], *r[4:]]), DELETE),
    "two known rows exchanged": (rows(lambda r: swapped(r, 2, 3)), DELETE),
    "a known value altered by a digit": (rows(lambda r: altered(r, 3)), DELETE),
    "a known step altered": (rows(lambda r: [*r[:3], b"3" + r[3][1:], *r[4:]]), DELETE),
    "a cell of a known row empty": (
        rows(lambda r: [*r[:3], b"," + r[3].partition(b",")[2], *r[4:]]), DELETE),
    "a cell of a known row no text": (to(METRICS, middle(b"0", b"\xff")), DELETE),
    "a word in a known row": (rows(lambda r: [*r[:3], b"two" + r[3][1:], *r[4:]]), DELETE),
    "zeros in a known row": (rows(lambda r: [*r[:3], bytes(99) + b"\n", *r[4:]]), DELETE),
    "a second header": (rows(lambda r: [*r[:3], r[0], *r[3:]]), DELETE),
    "a header renamed": (rows(lambda r: [r[0].replace(b"epoch", b"epoxy"), *r[1:]]), DELETE),
    "header lost": (rows(lambda r: r[1:]), DELETE),
    "a column lost": (rows(lambda r: [x.rpartition(b",")[0] + b"\n" for x in r[:-1]]), DELETE),
    "line ends of another system": (rows(lambda r: [x[:-1] + b"\r\n" for x in r[:-1]]), DELETE),
    "a byte order mark": (to(METRICS, lambda b: b"\xef\xbb\xbf" + b), DELETE),
    "a blank line": (rows(lambda r: [*r[:3], b"\n", *r[3:]]), DELETE),
    "metrics empty": (becomes(METRICS, b""), DELETE),
    "metrics of zeros": (to(METRICS, lambda b: bytes(len(b))), DELETE),
    "metrics gone": (gone(METRICS), DELETE),
    "metrics a dangling link": (a_link(METRICS), DELETE),
    "metrics behind a link": (moved_behind_a_link(METRICS), ""),
    "metrics of another run": (
        becomes(METRICS, lambda: unfinished(OTHER_SEED)[METRICS]), DELETE),
    "checkpoint and metrics of another run": (
        lambda f: put({n: unfinished(OTHER_SEED)[n] for n in (METRICS, CHECKPOINT)}, f), DELETE),
    # ------------------------------------------------------------------ config.json
    "config cut": (to(CONFIG, lambda b: b[:40]), "is damaged"),
    "config empty": (becomes(CONFIG, b""), "is damaged"),
    "config a list": (becomes(CONFIG, b"[]"), "is damaged"),
    "config null": (becomes(CONFIG, b"null"), "is damaged"),
    "config a string": (becomes(CONFIG, b'"lr"'), "is damaged"),
    "config of zeros": (to(CONFIG, lambda b: bytes(len(b))), "is damaged"),
    "config no text": (becomes(CONFIG, b'{"lr": "\xff"}'), "is damaged"),
    "config nested deep": (becomes(CONFIG, b"[" * 200_000), "is damaged"),
    "config with an empty name": (becomes(CONFIG, b"{}"), "not a configuration"),
    "config with a key of another program": (configured(learning=1), "learning"),
    "config with a table for a number": (configured(lr={"a": 1}), "lr"),
    "config with a word for a number": (configured(modulo="seven"), "modulo"),
    "config with a number that is none": (
        to(CONFIG, lambda b: b.replace(b"0.01", b"NaN")), "lr"),
    "a value of the config altered": (configured(lr=0.03), "lr 0.03 -> 0.01"),
    "the seed of the config altered": (configured(seed=43), "seed 43 -> 42"),
    "config behind a link": (moved_behind_a_link(CONFIG), ""),
    # ------------------------------------------------------------------ the others
    "env damaged": (becomes(ENV, b"\xff{"), ""),
    "lock of a process that is gone": (becomes(LOCK, b"4194304 on nowhere\n"), ""),
    "lock of garbage": (becomes(LOCK, b"\xff\0" * 99), ""),
    "lock a dangling link": (a_link(LOCK), ""),
    "temporaries of a kill": (
        lambda f: [(f / f".{n}.x1").write_bytes(b"half") for n in (CHECKPOINT, METRICS)], ""),
    "a summary of another run": (becomes(SUMMARY, lambda: whole(OTHER_SEED)[SUMMARY]), ""),
    "the summary of this run's end": (becomes(SUMMARY, lambda: whole()[SUMMARY]), ""),
    "an empty summary": (becomes(SUMMARY, b""), ""),
}  # fmt: skip


OF_WEIGHTS = {
    "half of the last weights": (lambda f: None, ""),
    "younger weights altered": (to(WEIGHTS, lambda b: b[:-900] + b"x" + b[-899:]), ""),
    "a known weight altered": (to(WEIGHTS, lambda b: b[:100] + b"xxxx" + b[104:]), DELETE),
    "weights cut": (to(WEIGHTS, lambda b: b[:1000]), DELETE),
    "weights without a header": (to(WEIGHTS, lambda b: b"weighed1" + b[8:]), DELETE),
    "weights of another width": (to(WEIGHTS, lambda b: b[:8] + b"\1" + b[9:]), DELETE),
    "weights empty": (becomes(WEIGHTS, b""), DELETE),
    "weights gone": (gone(WEIGHTS), DELETE),
    "weights of another run": (
        becomes(WEIGHTS, lambda: unfinished(SAVING + " --seed 43")[WEIGHTS]), DELETE),
}  # fmt: skip


OF_A_COMPLETE_RUN = {
    "summary gone": (gone(SUMMARY), ""),
    "summary empty": (becomes(SUMMARY, b""), ""),
    "summary cut": (to(SUMMARY, lambda b: b[: len(b) // 2]), ""),
    "summary of zeros": (to(SUMMARY, lambda b: bytes(len(b))), ""),
    "summary null": (becomes(SUMMARY, b"null"), ""),
    "summary a list": (becomes(SUMMARY, b"[]"), ""),
    "summary a table of nothing": (becomes(SUMMARY, b"{}"), ""),
    "summary no text": (becomes(SUMMARY, b'{"\xff": 1}'), ""),
    "summary nested deep": (becomes(SUMMARY, b"[" * 200_000), ""),
    "summary a dangling link": (a_link(SUMMARY), ""),
    "summary of another run": (becomes(SUMMARY, lambda: whole(OTHER_SEED)[SUMMARY]), ""),
    "a row behind the last": (rows(lambda r: [*r, r[-1]]), ""),
    "metrics gone": (gone(METRICS), DELETE),
    "metrics empty": (becomes(METRICS, b""), DELETE),
    "the last row lost": (rows(lambda r: r[:-1]), DELETE),
    "half of the last row": (rows(lambda r: [*r[:-1], r[-1][:20]]), DELETE),
    "a row lost": (rows(lambda r: r[:3] + r[4:]), DELETE),
    "a row twice": (rows(lambda r: r[:3] + r[2:]), DELETE),
    "two rows exchanged": (rows(lambda r: swapped(r, 2, 3)), DELETE),
    "a value altered by a digit": (rows(lambda r: altered(r, 3)), DELETE),
    "a header renamed": (rows(lambda r: [r[0].replace(b"epoch", b"epoxy"), *r[1:]]), DELETE),
    "line ends of another system": (rows(lambda r: [x[:-1] + b"\r\n" for x in r]), DELETE),
    "metrics of another run": (becomes(METRICS, lambda: whole(OTHER_SEED)[METRICS]), DELETE),
    "metrics altered, checkpoint gone": (
        lambda f: (rows(lambda r: altered(r, 3))(f), gone(CHECKPOINT)(f)), DELETE),
    "the config altered": (configured(lr=0.03), "lr 0.03 -> 0.01"),
}  # fmt: skip
