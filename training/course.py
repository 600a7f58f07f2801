"""Runs on their way from a checkpoint, or step 0, to their end; the loop of one and of several.

Several of one shape are updated in one stack. Those at an earlier step than others go first, until
all are level; one that ends leaves the stack. Imports no torch before a run begins.
"""

import math
import time

from configuration import runs
from configuration.config import RunConfig


class Stopped(Exception):
    """The runs were asked to stop and have written their checkpoints."""


class Course:
    """One run: its session, its rows, its checkpoints, its end.

    Args:
        config: what to run.
        folder: an entered RunFolder for it; its checkpoint, if any, is where the run goes on.
        device, compile, graphed: as for `training.session.Session`.
        report: called with each new row and the total number of steps.
        environment: called once the device is ready; what env.json holds of this start.
        allow_device_change: go on with what another kind of device has begun.

    Attributes:
        session: the live objects; `session.stream` is the state of its random stream.
        seconds: spent on it; of an update of R runs, a share of 1 / R.
        summary: as written at its end; None before.

    Raises:
        runs.RunError: the folder is damaged or cannot be written, or another kind of device began.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: runs.RunFolder,
        *,
        device: str = "cpu",
        compile: bool = False,
        graphed: bool = False,
        report=lambda row, total: None,
        environment=None,
        allow_device_change: bool = False,
    ):
        # Here, so that bad input is answered before torch is loaded.
        import torch

        from training.devices import differs, identity
        from training.session import Session

        self.config, self.folder, self.report = config, folder, report
        self.session = session = Session(config, device, compile, graphed)
        self.seconds, self.diverged_at, self.stopped_at, self.summary = 0.0, None, None, None
        state = folder.load_checkpoint(map_location="cpu")
        self.row_due = state is None  # a checkpoint's own row is in metrics.csv already
        if state is not None:
            try:
                then, now = state.get("device"), identity(device)  # older checkpoints do not say
                if then and differs(then, now) and not allow_device_change:
                    raise runs.RunError(
                        f"{folder.path} was computed on {then['kind']} ({then['name']}) and"
                        f" {now['kind']} ({now['name']}) rounds otherwise; continue it there, mix"
                        " them with --allow_device_change, or start it again with --force"
                    )
                session.restore(state)
                step, self.seconds = state["step"], float(state["seconds"])
                self.diverged_at, self.stopped_at = state["diverged_at"], state["stopped_at"]
                if type(step) is not int or not 0 <= step <= session.total_steps:
                    raise ValueError(f"step {step} of {session.total_steps}")
            except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
                path = folder.path / runs.CHECKPOINT
                reason = str(error).strip().split("\n")[0][:120]
                raise runs.RunError(
                    f"{path} is not of this run ({reason}); {runs.again(folder.path)}"
                ) from None
        if environment is not None:
            folder.write_env(environment(), session.step)
        session.stream = torch.get_rng_state()

    @property
    def has_ended(self) -> bool:
        at_end = self.session.step == self.session.total_steps and not self.row_due
        return at_end or self.diverged_at is not None or self.stopped_at is not None

    def record(self):
        """Writes the row of the session's step, unless it is written, and sees whether it ends."""
        session, step = self.session, self.session.step
        if not self.row_due:
            return
        self.row_due = False
        row = session.row(step)
        if self.config.save_weights:
            self.folder.append_weights(session.flat_weights())
        self.folder.append(row)
        self.report(row, session.total_steps)
        if not is_finite(row):
            self.diverged_at = step
        elif session.has_reached_its_goal(row):
            self.stopped_at = step

    def state(self) -> dict:
        """What its checkpoint holds."""
        import torch

        torch.set_rng_state(self.session.stream)
        step, ends = self.session.step, (self.diverged_at, self.stopped_at)
        return self.session.state(step, self.seconds, *ends)

    def finish(self):
        """Writes the summary, after the last checkpoint."""
        step, ends = self.session.step, (self.diverged_at, self.stopped_at)
        summary = summarize(self.folder, step, self.seconds, *ends)
        self.summary = self.folder.write_summary(summary)


def advance(courses: list[Course], *, checkpoint_seconds: float, stop_asked, stacked=None) -> None:
    """Trains runs to their ends.

    Args:
        courses: one, or several of one `stacking.shape`.
        checkpoint_seconds: at most this much work is lost to a kill.
        stop_asked: asked after every update; True writes the checkpoints and raises Stopped.
        stacked: makes of the sessions of several what updates them, `training.stacked.Stacked`.

    Raises:
        Stopped: the checkpoints are written.
        runs.RunError: a folder cannot be written; nothing goes on.
    """
    saved = [time.monotonic()]
    while going := [course for course in courses if course.summary is None]:
        ended = [course for course in going if course.has_ended]
        for course in ended:
            course.finish()
        if not ended:
            first = min(course.session.step for course in going)
            level = [course for course in going if course.session.step == first]
            later = [course.session.step for course in going if course.session.step > first]
            sessions = [course.session for course in level]
            form = sessions[0] if len(level) == 1 else stacked(sessions)
            until = min(later, default=math.inf)
            _advance_level(level, form, until, saved, checkpoint_seconds, stop_asked)


def _advance_level(level, form, until, saved, checkpoint_seconds, stop_asked):
    """Trains runs that are at one step until one has ended, or up to the step `until`.

    `form` is the session of the only one, or the stack of all.
    """
    import torch

    since = time.monotonic()
    torch.set_rng_state(form.stream)  # a stack sets those of its runs itself

    def settle():
        """What the sessions and courses hold is as of now."""
        nonlocal since
        if len(level) == 1:
            form.stream = torch.get_rng_state()
        else:
            form.hand_back()
        now = time.monotonic()
        for course in level:
            course.seconds += (now - since) / len(level)
        since = now

    def save():
        settle()
        states = {course.folder: course.state() for course in level}
        if len(level) == 1:
            level[0].folder.save_checkpoint(*states.values())
        else:
            runs.save_checkpoints(states)
        saved[0] = time.monotonic()

    while form.step < until:
        if form.is_logged(form.step):
            settle()
            for course in level:
                course.record()
            if any(course.has_ended for course in level):
                save()  # of all: they are still level, should a kill follow
                return
        stopping = stop_asked()
        if stopping or time.monotonic() - saved[0] >= checkpoint_seconds:
            save()
            if stopping:
                raise Stopped(f"stopped after {form.step} of {form.total_steps} steps")
        form.update()
        for course in level:
            course.row_due = True
    settle()


def is_finite(row: dict) -> bool:
    """Whether training still computes: finite training loss and weights."""
    return math.isfinite(row["train_loss"]) and math.isfinite(row["weight_norm"])


def summarize(
    folder: runs.RunFolder,
    step: int,
    seconds: float,
    diverged_at: int | None,
    stopped_at: int | None,
) -> dict:
    """Final values and the first logged step at each threshold, null where it was never reached.

    `stopped_at_step` is the row at which --stop_at ended the run, null for one that used its budget
    or diverged.
    """
    table = runs.read_metrics(folder.path)
    last = table.iloc[-1]
    final = {k: float(v) if v == v and abs(v) != float("inf") else None for k, v in last.items()}
    final["step"] = int(last["step"])
    return {
        "steps": step,
        "seconds": round(seconds, 1),
        "diverged_at_step": diverged_at,
        "stopped_at_step": stopped_at,
        "final": final,
        "first_step": runs.first_steps(table),
    }
