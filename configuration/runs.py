"""A run folder: the only file that knows its file names, its formats and its rules.

    config.json     exactly the RunConfig, written before the first step, refused if different later
    env.json        commit, versions, device, threads, command line, start time; every start so far
    metrics.csv     one row per evaluation, appended and flushed; row 0 is the initial network
    weights.bin     with --save_weights: all weights at each row; 16 bytes of header, then the rows
    checkpoint.pt   everything a bit-identical continuation needs; replaced atomically
    summary.json    written last: the run is complete where it fits the other files
    lock            held by the process that writes the folder

Rows reach the disk before the checkpoint that follows them, and a continuation drops the rows that
are younger than its checkpoint and computes them again: none is lost, none is doubled.
Checkpoint and summary hold the SHA-256 of themselves, of config.json and of the rows; what does not
fit is not believed. Imports torch only where a checkpoint is written or read.
"""

import csv
import dataclasses
import fcntl
import io
import json
import os
import secrets
import struct
from operator import is_
from pathlib import Path

from configuration.choices import definitions
from configuration.config import RunConfig
from configuration.digests import Appended, digest, digest_of, json_digest, seal, unseal
from configuration.tables import parse

CONFIG, ENV, METRICS, WEIGHTS, CHECKPOINT, SUMMARY, LOCK, LOG = (
    "config.json",
    "env.json",
    "metrics.csv",
    "weights.bin",
    "checkpoint.pt",
    "summary.json",
    "lock",
    "log.txt",
)
OWN = (CONFIG, ENV, METRICS, WEIGHTS, CHECKPOINT, SUMMARY)
# Computed afterwards from a finished run's weights, by weights/.
LANDSCAPE, PATHS, SPECTRUM = "landscape.csv", "landscape_paths.csv", "spectrum.csv"
SURFACES = {"tensor": "surface_tensor.csv", "filter": "surface_filter.csv"}  # by normalisation
WEIGHTS_HEADER = struct.Struct("<8sq")  # b"weights1", number of weights in a row
# Of which summary.json has the first logged step.
THRESHOLDS = {
    "train_accuracy": (0.5, 0.9, 0.95, 0.99, 1.0),
    "test_accuracy": (0.1, 0.5, 0.9, 0.95, 0.99, 1.0),
    "softmax_collapse": (0.4, 0.5),
}
STARTED = ("started", "device", "device_flag")  # what env.json keeps of every start
EXIT_BUSY = 75  # another process writes this folder (sysexits' EX_TEMPFAIL)
EXIT_STOPPED = 76  # stopped on request with a checkpoint; start again to continue


class RunError(Exception):
    """A run folder that cannot be used; the message is one line and names the remedy."""


class RunBusy(RunError):
    """Another process holds the folder."""


def replace_file(path: Path, write) -> None:
    """All or nothing: a reader, a kill or a full disk sees the old file or the new one.

    Args:
        path: of the file.
        write: called with the new file, open for bytes.

    Raises:
        OSError: it cannot be written.
    """
    replace_files({path: write})


def replace_files(writes: dict) -> None:
    """`replace_file` of several, {path: write}: none gets its name before all are on the disk."""
    made = {}
    try:
        for path, write in writes.items():
            made[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            with open(made[path], "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in made.items():
            os.replace(temporary, path)
    except BaseException:
        for temporary in made.values():
            temporary.unlink(missing_ok=True)
        raise


def run_folder(root, name: str, seed: int) -> Path:
    """Where a declared run lives: <root>/<name>/seed_<seed>."""
    return Path(root) / name / f"seed_{seed}"


class Files:
    """What a run folder holds, each file read once: what was checked is what is used.

    Args:
        folder: of the run; it may not exist.
    """

    def __init__(self, folder):
        self.folder = str(folder)
        self._read, self._summary = {}, None

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def bytes(self, name: str) -> bytes:
        """The content of a file; OSError where there is none."""
        if name not in self._read:
            with open(self.path(name), "rb", buffering=0) as file:
                self._read[name] = file.read()
        return self._read[name]

    def has(self, name: str) -> bool:
        return name in self._read or os.path.isfile(self.path(name))

    def json(self, name: str) -> dict:
        """As `read_json`."""
        try:
            value = json.loads(self.bytes(name).decode())
            if not isinstance(value, dict):
                raise ValueError("not an object")
            return value
        except OSError as error:
            raise RunError(
                f"{self.path(name)} cannot be read ({error.strerror}); make it readable"
            ) from None
        except (ValueError, RecursionError) as error:  # of JSON and of its encoding, too
            raise RunError(
                f"{self.path(name)} is damaged ({error}); delete its folder to run it again"
            ) from None

    def config(self, expected: RunConfig | None = None) -> RunConfig:
        """As `read_config`; one that holds the very values of `expected` is not checked again."""
        if not self.has(CONFIG):
            raise RunError(
                f"{self.folder} has no {CONFIG}; it is not a run folder; name another one"
            )
        raw = self.json(CONFIG)
        if "half_softmax" not in raw:  # from before there was the choice: the device's own
            on_cpu = raw.get("loss_function") == "cross_entropy"
            on_cpu = on_cpu and raw.get("softmax_precision") == 16
            if on_cpu and self.has(ENV):
                on_cpu = not str(self.json(ENV).get("device_flag")).startswith("cuda")
            raw["half_softmax"] = "cpu" if on_cpu else "cuda"
        values = raw | {k: tuple(v) for k, v in raw.items() if type(v) is list}
        if expected is not None and _same(values, vars(expected)):
            config = expected
        else:
            config = self._checked(values)
        own = definitions(config)
        if own and self.has(ENV):
            then = self.json(ENV).get("definitions", {})
            changed = [name for name, digest in own.items() if then.get(name, digest) != digest]
            if changed:
                raise RunError(
                    f"{self.folder} was computed with another {changed[0]}; delete it, or give the"
                    " run or what has changed another name"
                )
        return config

    def _checked(self, values: dict) -> RunConfig:
        path = self.path(CONFIG)
        try:
            return RunConfig(**values)
        except (TypeError, ValueError) as error:
            if "choose from" in str(error):  # a name that a file of one's own may define
                raise RunError(
                    f"{path}: {error}; --figures-from names a file that adds one"
                ) from None
            raise RunError(
                f"{path} is not a configuration of this version ({error}); delete its folder or"
                " choose another one"
            ) from None

    def summary(self) -> dict:
        """As `read_summary`."""
        if self._summary is None:
            path, summary = self.path(SUMMARY), self.json(SUMMARY)
            if not isinstance(summary.get("sha256"), dict):
                raise RunError(f"{path} has no digests (sha256); delete its folder to run it again")
            for name in (SUMMARY, CONFIG, METRICS):
                if not self._is_as_written(name, summary):
                    raise RunError(
                        f"{self.path(name)} is not as the run left it; copy it again, or delete its"
                        " folder to run it again"
                    )
            self._summary = summary
        return self._summary

    def _is_as_written(self, name: str, summary: dict) -> bool:
        """Whether a file has the digest that the summary holds of it; of the summary, its own."""
        try:
            if name == SUMMARY:
                found = json_digest(_without_own(summary))
            elif name in (CONFIG, METRICS):
                found = digest(self.bytes(name))
            else:  # of any size
                found = digest_of(self.path(name))
        except OSError:
            return False
        return summary["sha256"].get(name) == found

    def is_complete(self) -> bool:
        """As `is_complete`."""
        try:
            self.summary()
        except RunError:
            return False
        return True

    def has_derived(self, name: str) -> bool:
        """As `has_derived`."""
        return self.is_complete() and self._is_as_written(name, self.summary())

    def metrics(self):
        """As `read_metrics`."""
        try:
            return parse(self.bytes(METRICS))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise RunError(
                f"{self.path(METRICS)} cannot be read ({reason}); delete its folder to run it again"
            ) from None


def _same(values: dict, others: dict) -> bool:
    """Whether fields are equal, and of equal types: 1 is neither 1.0 nor True."""
    return values == others and all(
        map(is_, map(type, values.values()), map(type, others.values()))
    )


def is_complete(folder) -> bool:
    """Whether the folder has a summary that fits what else is in it."""
    return Files(folder).is_complete()


def read_json(path) -> dict:
    """A JSON object.

    Raises:
        RunError: it cannot be read, or is none.
    """
    return Files(Path(path).parent).json(Path(path).name)


def read_config(folder) -> RunConfig:
    """The configuration of a run folder.

    Raises:
        RunError: the file is missing, damaged, or has keys this version does not know.
    """
    return Files(folder).config()


def read_summary(folder) -> dict:
    """summary.json, after config.json and the rows were found to be those it was written for.

    Raises:
        RunError: they are not, or it is damaged or missing.
    """
    return Files(folder).summary()


def devices_of(env: dict) -> list[str]:
    """The devices that computed a run, each once, in their order, by its env.json."""
    starts = env.get("starts")
    starts = [s for s in starts if type(s) is dict] if type(starts) is list else [env]
    return list(dict.fromkeys(str(s["device"]) for s in starts if s.get("device")))


def _without_own(summary: dict) -> dict:
    others = {name: value for name, value in summary["sha256"].items() if name != SUMMARY}
    return summary | {"sha256": others}


def seal_summary(folder, summary: dict, names) -> dict:
    """The summary with the digests of these files of the folder, and its own."""
    digests = summary.get("sha256", {}) | {name: digest_of(Path(folder) / name) for name in names}
    summary = _without_own(summary | {"sha256": digests})
    summary["sha256"][SUMMARY] = json_digest(summary)
    return summary


def has_derived(folder, name) -> bool:
    """Whether a further file of a complete run (WEIGHTS, LANDSCAPE ...) is there, and whole."""
    return Files(folder).has_derived(name)


def write_derived(folder, texts: dict[str, str]):
    """Writes files that were computed from a run, {name: content}, and their digests.

    Raises:
        RunError: the run is not complete.
        OSError: they cannot be written.
    """
    folder = Path(folder)
    summary = read_summary(folder)
    for name, text in texts.items():
        replace_file(folder / name, lambda file, text=text: file.write(text.encode()))
    text = _as_json(seal_summary(folder, summary, texts))
    replace_file(folder / SUMMARY, lambda file: file.write(text))


def _as_json(value) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def read_metrics(folder):
    """metrics.csv as a pandas DataFrame; an empty cell ("never", "undefined") is NaN.

    A last line without its end, as a process that is writing may leave it, is not read.

    Raises:
        RunError: it is missing, or not a table of numbers at rising steps.
    """
    return Files(folder).metrics()


def read_rows(folder) -> list[dict[str, float | None]]:
    """The rows of metrics.csv, None for an empty cell; without pandas, every digit as written.

    Of a folder that this process holds.
    """
    with open(Path(folder) / METRICS, newline="") as file:
        return [
            {name: float(cell) if cell else None for name, cell in row.items()}
            for row in csv.DictReader(file)
        ]


def first_steps(metrics) -> dict:
    """{"test_accuracy>=0.5": the first logged step at which it is so, None for never}."""
    found = {}
    for column, levels in THRESHOLDS.items():
        for level in levels:
            reached = metrics["step"][metrics[column] >= level]
            found[f"{column}>={level}"] = int(reached.iloc[0]) if len(reached) else None
    return found


def read_weights(folder):
    """The weights that a run with --save_weights kept at its logged steps.

    Returns:
        (steps, weights): (rows,) int64, and (rows, P) in the run's precision, memory-mapped and
        read-only: each row the parameters in the order of the network, flattened.

    Raises:
        RunError: the run kept none, or the file is damaged.
    """
    import numpy

    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise RunError(f"{path} does not exist; run it with --save_weights")
    if (path.parent / SUMMARY).is_file() and not has_derived(folder, WEIGHTS):
        raise RunError(f"{path} is not as the run left it; delete its folder to run it again")
    width, dtype = _weights_layout(path, read_config(folder))
    steps = read_metrics(folder)["step"].to_numpy(dtype="int64")
    if path.stat().st_size < WEIGHTS_HEADER.size + len(steps) * width * dtype.itemsize:
        raise RunError(f"{path} has fewer rows than {METRICS} ({len(steps)}); run it again")
    shape = (len(steps), width)
    return steps, numpy.memmap(path, dtype, "r", offset=WEIGHTS_HEADER.size, shape=shape)


def _weights_layout(path, config: RunConfig):
    """(weights in a row, their dtype) of a weights.bin."""
    import numpy

    with open(path, "rb") as file:
        header = file.read(WEIGHTS_HEADER.size)
    if len(header) < WEIGHTS_HEADER.size or not header.startswith(b"weights1"):
        raise RunError(f"{path} is damaged (no header); delete its folder to run it again")
    return WEIGHTS_HEADER.unpack(header)[1], numpy.dtype(f"<f{config.train_precision // 8}")


def load_final_state(folder) -> dict:
    """The network's state dict after a complete run's last step.

    Raises:
        RunError: the run is not complete, there is no checkpoint (published runs have none), or it
            is damaged.
    """
    path = Path(folder) / CHECKPOINT
    if not path.is_file():
        raise RunError(f"{path} does not exist; the weights need a run of your own")
    if not (path.parent / SUMMARY).is_file():
        raise RunError(f"{folder} is not a complete run; start it again to finish it")
    rows = read_summary(folder)["sha256"][METRICS]
    state = _load_checkpoint(path, "cpu")
    if state["appended"][METRICS][1] != rows:
        raise RunError(f"{path} is not of the run's end; delete {SUMMARY} and start it again")
    return state["model"]


def _load_checkpoint(path, map_location) -> dict:
    import torch

    try:
        state = torch.load(unseal(path), map_location=map_location, weights_only=True)
        of_this_run = state["config"] == digest_of(path.parent / CONFIG)
        if not all(type(state["appended"][x][0]) is int for x in (METRICS, WEIGHTS)):
            raise ValueError("no sizes of its tables")
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).strip().split("\n")[0][:120]
        raise RunError(f"{path} is damaged ({reason}); {again(path.parent)}") from None
    if not of_this_run:
        raise RunError(f"{path} is of another configuration; {again(path.parent)}")
    return state


def again(folder: Path) -> str:
    """What to delete where a run cannot go on. Rows of a complete run go only with its folder."""
    if (folder / SUMMARY).exists():
        return "delete its folder to run it again"
    return f"delete {CHECKPOINT} to compute this run again from step 0"


def last_row(folder) -> dict | None:
    """The last complete row of metrics.csv as {column: text}, or None; without pandas.

    Cheap enough to poll: reads the header and the last few kilobytes only.
    """
    try:
        with open(Path(folder) / METRICS, "rb") as file:
            header = file.readline().decode(errors="replace").rstrip("\n").split(",")
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - 65536, 0))
            lines = file.read().decode(errors="replace").split("\n")[:-1]  # the last is unfinished
    except OSError:
        return None
    row = lines[-1].split(",") if lines else []
    if header[:2] != ["step", "epoch"] or len(row) != len(header) or not row[0].isdigit():
        return None
    try:
        [float(cell) for cell in row if cell]
    except ValueError:
        return None
    return dict(zip(header, row, strict=True))


def differences(ours: RunConfig, theirs: RunConfig) -> str:
    """The fields in which two configurations differ, as `name a -> b` for a message."""
    a, b = dataclasses.asdict(ours), dataclasses.asdict(theirs)
    return ", ".join(f"{k} {a[k]} -> {b[k]}" for k in a if a[k] != b[k])


class RunFolder:
    """One run's folder, open for writing by exactly one process.

    Use as a context manager; entering takes the lock, creates the folder and writes or compares
    config.json.

    Args:
        path: the folder itself.
        config: what is to be run there.

    Raises:
        RunBusy: another process is writing it.
        RunError: the folder belongs to another configuration, or cannot be written.
    """

    def __init__(self, path, config: RunConfig):
        self.path = Path(path)
        self.config = config
        self._lock = None
        self._columns = None
        self._appended = {name: Appended(self.path / name) for name in (METRICS, WEIGHTS)}

    def __enter__(self):
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / LOCK, "a+")  # noqa: SIM115 - held until __exit__
        except OSError as error:
            raise RunError(
                f"cannot write to {self.path} ({error.strerror}); choose another --run_dir"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise RunBusy(
                f"{self.path} is being written by process {holder}; wait for it or stop it"
            ) from None
        except OSError as error:
            self._lock.close()
            raise RunError(
                f"{self.path} cannot be locked ({error.strerror}): choose a --runs on a file system"
                " with locks"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()} on {os.uname().nodename}\n")
        self._lock.flush()
        try:
            self._claim()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._lock.close()  # closing releases the lock

    def _claim(self):
        if (self.path / CONFIG).is_file():
            found = read_config(self.path)
            begun = [name for name in (METRICS, CHECKPOINT, SUMMARY) if (self.path / name).exists()]
            if found != self.config and not begun:  # a start that failed: nothing was computed
                self._write_json(CONFIG, dataclasses.asdict(self.config))
            elif found != self.config:
                raise RunError(
                    f"{self.path} holds another configuration ({differences(found, self.config)});"
                    " choose another --run_dir or delete it"
                )
        else:
            foreign = [name for name in OWN if (self.path / name).exists()]
            if foreign:
                raise RunError(
                    f"{self.path} has {foreign[0]} and no {CONFIG}, so it is not a run folder;"
                    " choose another --run_dir"
                )
            self._write_json(CONFIG, dataclasses.asdict(self.config))

    def clear(self):
        """Forget everything but the configuration: the run starts again from step 0."""
        derived = (LANDSCAPE, PATHS, SPECTRUM, *SURFACES.values())
        for name in (SUMMARY, CHECKPOINT, METRICS, WEIGHTS, ENV, *derived):
            (self.path / name).unlink(missing_ok=True)

    def write_env(self, env: dict, step: int):
        """Writes env.json: what computes from this step on, and in "starts" every start so far.

        A start is {"started", "device", "device_flag", "step"}; of one that was written before
        there were starts the step is not known, and left out.
        """
        try:
            then = read_json(self.path / ENV)
        except RunError:  # there is none, or it is damaged
            then = {}
        told = {name: then[name] for name in STARTED if name in then}
        before = then.get("starts", [told] if told else [])
        now = {name: env[name] for name in STARTED} | {"step": step}
        self._write_json(ENV, env | {"starts": [*(before if type(before) is list else []), now]})

    def write_summary(self, summary: dict) -> dict:
        """Writes summary.json with its digests, and returns it."""
        names = [name for name, file in self._appended.items() if file.size]
        for name in names:
            if digest_of(self.path / name) != self._appended[name].sha256:
                raise RunError(
                    f"{self.path / name} was changed while this run was writing it;"
                    f" {again(self.path)}"
                )
        summary = seal_summary(self.path, summary, [CONFIG, *names])
        self._write_json(SUMMARY, summary)
        return summary

    def _write_json(self, name, value):
        self._replace(name, lambda file: file.write(_as_json(value)))

    def _replace(self, name, write):
        self._write(name, lambda: replace_file(self.path / name, write))

    def _write(self, name, write):
        """Writes a file; RunError where that fails, or where this process is no longer the one."""
        try:
            held, there = os.fstat(self._lock.fileno()), os.stat(self.path / LOCK)
            if not os.path.samestat(held, there):
                raise FileNotFoundError
        except OSError:
            raise RunError(
                f"{self.path / LOCK} was deleted or replaced while this run was writing; start it"
                " again to continue"
            ) from None
        try:
            write()
        except OSError as error:
            raise RunError(
                f"cannot write {self.path / name} ({error.strerror}); free space or choose another"
                " --run_dir, then start again to continue"
            ) from None

    def append_weights(self, weights):
        """Adds a NumPy array (P,) to weights.bin, before the row of metrics.csv that it is of."""
        file, data = self._appended[WEIGHTS], weights.tobytes()
        if file.size == 0:
            data = WEIGHTS_HEADER.pack(b"weights1", weights.size) + data
        self._write(WEIGHTS, lambda: file.append(data))

    def append(self, row: dict):
        """Adds a row to metrics.csv; values in full precision, None as an empty cell."""
        file, text = self._appended[METRICS], io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self._columns is None:
            self._columns = list(row)
        if file.size == 0:
            writer.writerow(self._columns)
        if list(row) != self._columns:
            raise RunError(
                f"{self.path / METRICS} has other columns than this version writes; delete its"
                " folder to run it again"
            )
        writer.writerow(["" if v is None else repr(v) for v in row.values()])
        self._write(METRICS, lambda: file.append(text.getvalue().encode()))

    def save_checkpoint(self, state: dict):
        """Replaces checkpoint.pt, after the rows written so far are on the disk."""
        self._replace(CHECKPOINT, self._checkpoint(state))

    def _checkpoint(self, state: dict):
        """What writes the state, and what it belongs to, into an open file."""
        import torch

        marks = {name: file.mark() for name, file in self._appended.items()}
        buffer = io.BytesIO()  # on a full disk torch.save itself raises what is no OSError
        torch.save(state | {"config": digest_of(self.path / CONFIG), "appended": marks}, buffer)
        return lambda file: file.write(seal(buffer.getvalue()))

    def load_checkpoint(self, map_location="cpu") -> dict | None:
        """The last checkpoint, or None where the run has to start from step 0.

        metrics.csv, and weights.bin where there is one, are cut back to what they were at the time
        of the checkpoint (to nothing, without one), a summary that does not fit them is deleted.

        Raises:
            RunError: checkpoint.pt or metrics.csv is damaged; says what to delete.
        """
        for name in OWN:  # left by a process that was killed while it wrote
            for leftover in self.path.glob(f".{name}.*"):
                leftover.unlink(missing_ok=True)
        path = self.path / CHECKPOINT
        if path.is_file():
            state = _load_checkpoint(path, map_location)
        elif (self.path / SUMMARY).is_file():
            read_summary(self.path)  # says what is wrong with it
            raise RunError(f"{self.path} is complete; --force runs it again")
        else:
            state = None
        for name, file in self._appended.items():
            size, sha256 = state["appended"][name] if state else (0, digest(b""))
            if not file.cut(size, sha256):
                raise RunError(
                    f"{file.path} is not what it was when {CHECKPOINT} was written;"
                    f" {again(self.path)}"
                )
        if state:
            with open(self.path / METRICS, newline="") as file:
                self._columns = next(csv.reader(file))
        (self.path / SUMMARY).unlink(missing_ok=True)
        return state


def save_checkpoints(states: dict[RunFolder, dict]):
    """`save_checkpoint` of runs of one process: a kill finds all of them as they were, or as now.

    But for one between two of the renamings at the end, microseconds apart.
    """
    writes = {folder.path / CHECKPOINT: folder._checkpoint(s) for folder, s in states.items()}
    for folder in states:
        folder._write(CHECKPOINT, lambda: None)  # is it still the one that writes there
    folder._write(CHECKPOINT, lambda: replace_files(writes))
