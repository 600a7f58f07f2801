"""What a person sees while runs are computed: a bar on a terminal, plain lines elsewhere.

Both displays have the same methods, called by local.Local: started, waits, ended, update,
stopping, close. They read tasks and change none.
"""

import heapq
import os
import shutil
import signal
import sys
import time

from configuration import runs
from launching.plan import Job, is_busy, is_finished, plan

REFRESH = 1.0  # seconds between two pictures of a terminal
TAIL = 8  # lines of a failed run's log that are shown


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def makespan(seconds, slots: int) -> float:
    """Seconds until all jobs are done when `slots` run at once, the longest first."""
    ends = [0.0] * slots
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def share_done(local) -> float:
    """Share of the expected work that is done, 0 to 1; a failed run leaves nothing to do."""
    if local.work == 0:
        return 0.0
    return min(max(1 - sum(t.left for t in local.unfinished) / local.work, 0.0), 1.0)


def remaining(local) -> str:
    """The time left, from the speed of this session; unknown until it has got somewhere."""
    spent = local.spent + sum((time.time() - t.started) / t.together for t in local.running)
    earned = local.earned + sum(t.left_at_start - t.left for t in local.running)
    if earned <= 0:
        return "time left not known yet"
    left = local.loads(local.unfinished).values()
    return f"about {duration(makespan(left, sum(local.slots.values())) * spent / earned)} left"


def accuracies(row: dict | None) -> str:
    """Train and test accuracy of a row of metrics.csv, in percent."""
    if not row:
        return "no row yet"
    train, test = (
        f"{100 * float(row[name]):.1f} %" if row.get(name) else "undefined"
        for name in ("train_accuracy", "test_accuracy")
    )
    return f"train {train}, test {test}"


def status(task) -> str:
    """Where a running task is: name, seed, device, epoch or step, accuracies."""
    return f"{task.job.label} on {task.device}: {position(task)}, {accuracies(task.row)}"


def short_status(task) -> str:
    """The same in 80 columns, for any declared run."""
    accuracy = accuracies(task.row).replace(" %", "%").replace(",", "")
    return f"{task.job.name} {task.job.seed} {task.device} {position(task)} {accuracy}"


def position(task) -> str:
    """How far it is: "epoch 50/300", or "step 500/20000" where its budget is in steps."""
    unit, budget = task.job.config.budget
    return f"{unit} {done(task.row, unit)}/{budget}"


def done(row: dict | None, unit: str) -> str:
    return f"{float(row[unit]):.10g}" if row and row[unit] else "0"


def ending(task) -> str:
    if task.failure:
        return f"FAILED    {task.job.label} {task.failure}"
    if task.device is None:
        return f"finished  {task.job.label} by another process: {accuracies(task.row)}"
    took = duration(time.time() - task.started)
    return f"finished  {task.job.label} after {took}: {accuracies(task.row)}"


def counts(local) -> str:
    ended = len(local.done) + len(local.failed)
    total = ended + len(local.unfinished) + len(local.stopped)
    failed = f", {len(local.failed)} failed" if local.failed else ""
    busy = f", {len(local.busy)} computed by another process" if local.busy else ""
    return f"{ended}/{total} runs{failed}{busy}"


def log_tail(path, start: int) -> list[str]:
    """The last lines that a run wrote to its log in this session."""
    try:
        with open(path, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(start, log.tell() - 16384))
            return log.read().decode(errors="replace").splitlines()[-TAIL:]
    except OSError:
        return []


class Lines:
    """Plain lines: when a run starts or ends, and at intervals where all of them are.

    Args:
        interval: seconds between two reports.
    """

    def __init__(self, interval: float):
        self.interval = interval
        self._next = time.monotonic() + interval

    def started(self, task):
        verb = "continues" if task.row else "starts   "
        unit, _ = task.job.config.budget
        where = f" from {unit} {done(task.row, unit)}" if task.row else ""
        print(f"{verb} {task.job.label} on {task.device}{where}")

    def waits(self, task):
        print(f"waits for {task.job.label}, which another process computes")

    def ended(self, task):
        print(ending(task))

    def update(self, local):
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.interval
        for task in local.running:
            task.look()
        where = "; ".join(status(task) for task in local.running)
        print(f"[{counts(local)}, {share_done(local):.0%} done, {remaining(local)}] {where}")

    def stopping(self, local):
        name = signal.Signals(local.signal).name if local.signal else "an error"
        print(
            f"{name}: stopping {count(len(local.running), 'run')}, each writes its checkpoint"
            " (Ctrl-C again kills them)"
        )

    def close(self):
        pass


class Bars(Lines):
    """A terminal: one overall bar with the time left, and a line per running run."""

    def __init__(self, slots: int):
        super().__init__(REFRESH)
        from tqdm import tqdm

        height = shutil.get_terminal_size().lines - 3
        self._width = lambda: shutil.get_terminal_size().columns - 1
        # Sizes are minded here: tqdm shows nothing on a terminal that does not tell its own.
        common = {"file": sys.stdout, "leave": False, "nrows": 1000, "ncols": 1000}
        bar = "{percentage:3.0f}%|{bar:20}| {desc}"
        self._bar = tqdm(total=1.0, bar_format=bar, position=0, **common)
        self._runs = [
            tqdm(total=0, bar_format="{desc}", position=1 + i, **common)
            for i in range(max(1, min(slots, height)))
        ]
        self._next = 0.0

    def _say(self, text: str):
        self._bar.write(text, file=sys.stdout)

    def started(self, task):
        self._next = 0.0  # its line appears at once

    def waits(self, task):
        self._say(f"waits for {task.job.label}, which another process computes")

    def ended(self, task):
        self._say(ending(task))
        self._next = 0.0

    def update(self, local):
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.interval
        for task in local.running:
            task.look()
        self._bar.n = share_done(local)
        self._show(self._bar, f"{counts(local)}, {remaining(local)}", 27)
        texts = [short_status(task) for task in local.running]
        hidden = len(texts) - len(self._runs)
        if hidden > 0:
            texts[len(self._runs) - 1 :] = [f"and {hidden + 1} more"]
        for line, text in zip(self._runs, texts + [""] * -hidden, strict=True):
            self._show(line, text, 0)

    def _show(self, bar, text: str, taken: int):
        bar.set_description_str(text[: max(self._width() - taken, 0)], refresh=True)

    def stopping(self, local):
        self.close()
        super().stopping(local)

    def close(self):
        for bar in (*self._runs, self._bar):
            bar.close()


def display(slots: int, interval: float):
    """Bars on a terminal, lines elsewhere."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Bars(slots)
    return Lines(interval)


# ---------------------------------------------------------------------------------- --list

ESTIMATES = "Times are estimates for a 2-core x86-64 CPU: runs two at once, one thread each."
MOST_LISTED = 12  # runs of a figure that are listed one by one though it was not named


def state(job: Job) -> str:
    """Where a run is, in a word or two."""
    if not os.path.isdir(job.folder):
        return "-"
    try:
        if is_finished(job):
            return "finished"
    except (OSError, ValueError, runs.RunError):
        return "unusable folder"
    row = runs.last_row(job.folder)
    if is_busy(job.folder):
        return "running"
    unit, budget = job.config.budget
    return f"{unit} {done(row, unit)} of {budget}" if row else "-"


def expected(jobs, slots: int = 2) -> str:
    """How long jobs take together, such as "about 3 min"; "at most" where one may stop early."""
    words = "at most" if any(job.may_stop for job in jobs) else "about"
    return f"{words} {duration(makespan([job.seconds for job in jobs], slots))}"


def list_jobs(jobs) -> None:
    """Prints the runs of a sweep with where they are and how long they take."""
    width = max(len(job.label) for job in jobs)
    for job in jobs:
        print(f"  {job.label:{width}}   {state(job):22} {duration(job.seconds):>8}")
    print(f"{count(len(jobs), 'run')}, {expected(jobs)}. {ESTIMATES}")


class Listing:
    """The jobs of figures at every size, for printing."""

    def __init__(self, figures, seeds, root):
        self.figures, self.seeds, self.root = figures, seeds, root
        self._planned = {}

    def jobs(self, figures, size: str) -> dict:
        """{(run, seed): job}"""
        key = (*(figure.id for figure in figures), size)
        if key not in self._planned:
            planned = plan(figures, size=size, seeds=self.seeds, root=self.root)
            self._planned[key] = {(job.run, job.seed): job for job in planned}
        return self._planned[key]

    def sizes(self, figures) -> list[str]:
        """The sizes that are not the full one under another name, the smallest first."""
        return [s for s in ("quick", "cpu", "full")
                if s == "full" or any(f.shown_as(s) != "full" for f in figures)]  # fmt: skip

    def times(self, figures) -> str:
        every = ((size, self.jobs(figures, size).values()) for size in self.sizes(figures))
        return ", ".join(f"{size} {expected(jobs)}" for size, jobs in every)

    def show(self, figure, in_full: bool):
        print(f"Figure {figure.id}: {figure.title}")
        if not figure.runs:
            print("  analytic: no runs, just drawn\n")
            return
        forms = {size: self.jobs([figure], size) for size in self.sizes([figure])}
        seeds = sorted({key[1] for jobs in forms.values() for key in jobs})
        keys = dict.fromkeys(
            (run.name, seed)
            for run in figure.runs
            for seed in seeds
            if any((run.name, seed) in jobs for jobs in forms.values())
        )
        if not in_full and len(keys) > MOST_LISTED:
            for size, jobs in forms.items():
                finished = sum(state(job) == "finished" for job in jobs.values())
                runs_of = f"{len(jobs):3} runs, {finished} finished"
                print(f"  {size:5} {runs_of}, {expected(jobs.values())}")
            print(f"  one by one: --list --figures {figure.id}\n")
            return
        print(f"  {self.times([figure])}")
        heads = "   ".join(f"{size:22} {'':8}" for size in forms)
        print(f"  {'run':26} {'seed':>6}   {heads}".rstrip())
        for key in keys:
            columns = (self._column(jobs.get(key)) for jobs in forms.values())
            print(f"  {key[0]:26} {key[1]:>6}   {'   '.join(columns)}".rstrip())
        print()

    def _column(self, job: Job | None) -> str:
        """State and time of a run; a cell that this size leaves out is empty."""
        return f"{state(job):22} {duration(job.seconds):>8}" if job else " " * 31


def list_figures(groups, seeds, root, named=()):
    """Prints every figure with its runs, what is finished, and the expected times.

    Args:
        groups: {what these figures are: figures}, in words such as "The paper's figures".
        seeds: whole numbers; None: those of each figure.
        root: the folder that holds all runs.
        named: ids of figures whose runs are listed one by one, however many.
    """
    for figures in groups.values():
        listing = Listing(figures, seeds, root)
        for figure in figures:
            listing.show(figure, figure.id in named)
    for words, figures in groups.items():
        if len(figures) > 1:
            times = Listing(figures, seeds, root).times(figures)
            print(f"{words} together, shared runs once: {times}")
    print(ESTIMATES)
