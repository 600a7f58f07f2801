"""Mirrors of a run's rows and configuration in TensorBoard or Weights & Biases (--track).

metrics.csv stays the record: a mirror begins with the first row that a process adds, takes all rows
before it from there, and so has each row once, whatever a kill lost or a continuation computed
again. One that fails is dropped with a line, and the run goes on.
"""

import dataclasses
import importlib
import json
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

from configuration import runs
from configuration.config import RunConfig

STAMP = "%Y%m%d_%H%M%S"  # in the name of a run's folder of Weights & Biases


class TensorBoard:
    """Event files in the run folder's tensorboard/; in float32, TensorBoard shows no other."""

    packages = ("torch.utils.tensorboard",)

    def __init__(self, path: Path, config: RunConfig):
        self.folder, self.config = path / "tensorboard", config

    def forget(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, rows):
        from torch.utils.tensorboard import SummaryWriter

        self.forget()
        self._writer = SummaryWriter(self.folder)
        text = json.dumps(dataclasses.asdict(self.config), indent=1)
        self._writer.add_text("config", f"```json\n{text}\n```", 0)
        for row in rows:
            self._add(row)
        self._writer.flush()

    def row(self, row: dict):
        self._add(row)
        self._writer.flush()

    def _add(self, row: dict):
        for name, value in row.items():
            if value is not None and name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))

    def end(self):
        self._writer.close()


class Wandb:
    """A run of Weights & Biases whose files are in the run folder's wandb/.

    Offline unless WANDB_MODE says otherwise; `wandb sync` sends what is offline. The folder keeps
    the run's id: a continuation is the same run there, and rows that it has already are not sent.
    """

    packages = ("wandb",)

    def __init__(self, path: Path, config: RunConfig):
        self.path, self.config = path, config
        self.folder = path / "wandb"

    def forget(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, rows):
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        if mode == "offline":  # else it looks for a server to which it could report its errors
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        name = self._id()
        stamps = [""]
        for old in self.folder.glob(f"offline-run-*-{name}"):
            shutil.rmtree(old)
            stamps.append(old.name.removeprefix("offline-run-").removesuffix(f"-{name}"))
        if time.strftime(STAMP) <= max(stamps):  # a killed run's wandb may still write there
            time.sleep(1)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "grokking"),
            id=name,
            name=f"{self.path.parent.name} {self.path.name}",
            group=self.path.parent.name,
            dir=self.path,
            mode=mode,
            resume="allow",
            config=dataclasses.asdict(self.config),
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, disable_code=True
            ),
        )
        known = self._run.step if self._run.resumed else 0  # the first step that it lacks
        for row in rows:
            if row["step"] >= known:
                self.row(row)

    def _id(self) -> str:
        kept = self.folder / "run_id.txt"
        if not kept.is_file():
            self.folder.mkdir(exist_ok=True)
            runs.replace_file(kept, lambda file: file.write(secrets.token_hex(8).encode()))
        return kept.read_text()

    def row(self, row: dict):
        measured = {name: value for name, value in row.items() if value is not None}
        self._run.log(measured, step=int(row["step"]))

    def end(self):
        self._run.finish()


KINDS = {"tensorboard": TensorBoard, "wandb": Wandb}


class Mirrors:
    """The mirrors of a run; a context manager around the training.

    Args:
        names: of KINDS.
        path: the run folder.
        config: what is run.

    Raises:
        ValueError: a package cannot be imported; one line.
    """

    def __init__(self, names, path: Path, config: RunConfig):
        self.path = path
        self._mirrors = {name: KINDS[name](path, config) for name in names}
        self._begun = False
        for name, mirror in self._mirrors.items():
            try:
                for package in mirror.packages:
                    importlib.import_module(package)
            except Exception as error:  # whatever an installation that does not fit raises
                reason = " ".join(str(error).split())[:200]
                raise ValueError(f"--track {name} cannot be used ({reason}); drop it") from None

    def forget(self):
        """The run starts again from step 0, as another run."""
        self._each("forget")

    def row(self, row: dict):
        """Adds a row that metrics.csv has already."""
        if self._begun:
            self._each("row", row)
        else:
            self._begin()

    def _begin(self):
        self._begun = True
        if self._mirrors:
            self._each("begin", runs.read_rows(self.path))

    def _each(self, method: str, *arguments):
        for name, mirror in list(self._mirrors.items()):
            try:
                getattr(mirror, method)(*arguments)
            except Exception as error:
                del self._mirrors[name]
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                print(f"--track {name} failed ({reason}); the run goes on", file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if not self._begun and kind is None:  # finished without a new row
            self._begin()
        if self._begun:
            self._each("end")
