"""The launcher: starts train.py once for each run that is not finished, then draws.

    ./run_main_experiments.sh --figures 1,2 --device cuda:0     sets the environment up, then this
    ./run_main_experiments.sh --figures 4 --quick --seeds 42,43
    ./run_main_experiments.sh --figures related --size cpu      the related systems on two cores
    ./run_main_experiments.sh --run add_adamw_wd1 --vary weight_decay=0.5,1,2 --vary lr=0.003,0.01
    ./run_main_experiments.sh --list
    ./run_main_experiments.sh --report                          figures and verdicts on one page

plan.py and sweep.py say which runs; local.py runs a plan on this machine, slurm.py on a cluster.
Exit codes: 0 complete, 1 a run or a picture failed, 2 bad input; 129, 130, 143 stopped by a signal.
Imports no torch, pandas or matplotlib: it starts in a fraction of a second.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not with PYTHONSAFEPATH
    from configuration.interpreter import begin

    begin()

import shlex
import subprocess
from argparse import BooleanOptionalAction
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from itertools import cycle, groupby, product
from pathlib import Path

import paper
import related
from configuration import devices, runs
from configuration.config import RunConfig
from configuration.flags import (
    Parser,
    add_own_file,
    add_track,
    parse_seeds,
    split_list,
    trackers,
)
from configuration.interpreter import end, require, told
from configuration.stacking import AND
from experiment.catalog import Catalog
from experiment.figure import DEFAULT_SEEDS, asked_size, size_flag
from launching import progress, slurm, slurm_task
from launching.batches import batches, in_words
from launching.local import Local
from launching.plan import RUNS, Job, is_finished, plan
from launching.progress import count, duration, list_figures, list_jobs, makespan
from launching.sweep import parse_vary, sweep

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
HERE = Path(__file__).resolve().parent
TRAIN, PLOTS = HERE / "train.py", HERE / "plots.py"
NOTEBOOK, RELATED_NOTEBOOK = HERE / "paper_plots.ipynb", HERE / "related_plots.ipynb"
SCRIPT = "run_main_experiments.sh"
# Each keeps a core busy. Without NVIDIA's MPS they take turns on a GPU, and more gain little.
JOBS_PER_GPU = 4
# False where --list and --dry-run run before the first start has made the environment.
INSTALLED = find_spec("torch") is not None
PYTHON = sys.executable if INSTALLED else str(HERE / ".venv/bin/python")


def train_command(
    batch, device: str, force=False, *, change=False, form=(), train=TRAIN
) -> list[str]:
    """The command line of the jobs of one process: absolute paths, to be pasted in any folder."""
    machine = ["--device", device, "--threads", "1", *form]
    machine += ["--allow_device_change"] if change else []
    machine += ["--force"] if force else []
    first, *others = ([*job.arguments(), *machine] for job in batch)
    return [PYTHON, str(train), *first, *(word for words in others for word in (AND, *words))]


# ---------------------------------------------------------------------------------- command line


def elsewhere(flag: str) -> str | None:
    """Where a flag of train.py belongs that is given here."""
    name = flag.removeprefix("--no-").removeprefix("--")
    if name in {f.name for f in fields(RunConfig)} - {"seed"}:
        return f"{flag} is a flag of train.py; vary it with --run NAME --vary {name}=..."
    if flag == AND:
        return f"{AND} is a flag of train.py; runs that share a process here: --batch-runs N"
    if name in ("run_dir", "threads", "checkpoint_seconds"):
        return f"{flag} is a flag of train.py, for one run: python train.py --run NAME {flag} ..."
    return None


def make_parser() -> Parser:
    parser = Parser(
        prog=SCRIPT,
        description="Computes the runs of figures, or of a sweep, that are not finished, then draws"
        " them.",
        epilog="Lists are separated by commas or spaces. Stopped runs continue when started again.",
        allow_abbrev=False,
        elsewhere=elsewhere,
    )

    def take_list(flag, text):
        parser.add_argument(flag, nargs="*", action="extend", metavar="LIST", help=text)

    take_list(
        "--figures",
        f"of {', '.join(CATALOG.paper)} [all of these]; of the related systems, which are"
        f" computed only when named: {', '.join(CATALOG.related)}, or related for all",
    )
    add_own_file(parser)
    parser.add_argument("--run", metavar="NAME", help="this declared run instead of figures")
    parser.add_argument(
        "--vary",
        nargs="*",
        action="extend",
        metavar="FIELD=LIST",
        help="with --run: a run for each of these values of a flag of train.py, and for every"
        " combination of several such lists, such as weight_decay=0.5,1,2; switches: true, false;"
        " several widths: 200x200; no value: None",
    )
    take_list("--device", "cpu, cuda:0, cuda:1 ..., mps [cuda:0 where one computes, else cpu]")
    parser.add_argument(
        "--jobs",
        metavar="N",
        help=f"processes at once on each device [cpu: cores; GPU: {JOBS_PER_GPU}, together at most"
        " cores, or 1 where its compute mode is exclusive]",
    )
    parser.add_argument(
        "--batch-runs",
        metavar="N",
        help="a process trains up to N runs of one shape together: seeds, operations, losses of one"
        " MLP; the others run alone (docs/gpu.md) [1]",
    )
    default = ", ".join(map(str, DEFAULT_SEEDS))
    take_list(
        "--seeds",
        f"whole numbers, each a replicate of every run [{default}; dimension: see --list]",
    )
    parser.add_argument(
        "--size",
        metavar="SIZE",
        help="full: as published; cpu: under an hour a figure on two cores, the full size where"
        " there is no other; quick: a look in minutes [full]",
    )
    parser.add_argument("--quick", action="store_true", help="the same as --size quick")
    parser.add_argument(
        "--list", action="store_true", help="show figures, runs and times; run none"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="write one HTML page of pictures, verdicts and settings from the runs there are; run"
        " none",
    )
    parser.add_argument("--compile", action="store_true", help="updates under torch.compile")
    parser.add_argument(
        "--graphed",
        action=BooleanOptionalAction,
        help="updates as CUDA graphs [on a CUDA device, those that can be captured]",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the command lines; run none")
    parser.add_argument("--force", action="store_true", help="finished runs again from step 0")
    parser.add_argument(
        "--allow_device_change",
        action="store_true",
        help="go on with what a CPU, or another model of GPU, has begun",
    )
    parser.add_argument("--runs", metavar="DIR", help="where the runs are kept [runs]")
    parser.add_argument("--out", metavar="DIR", help="where the pictures go [figures]")
    parser.add_argument(
        "--interval", default="30", metavar="SECONDS", help="between lines off a terminal [30]"
    )
    add_track(parser)
    slurm.add_flags(parser)
    return parser


def parse_devices(words) -> list[str]:
    """Device names in one spelling; whether this machine has them is `check_devices`'s question."""
    found = split_list("--device", words, "cpu or cuda:0")
    return list(dict.fromkeys(map(devices.device_name, found)))


def parse_number(flag: str, word, kind, least, remedy: str):
    try:
        value = kind(word)
    except ValueError:
        value = None
    if value is None or not least <= value < float("inf"):
        raise ValueError(f"{flag} '{word}': {remedy}")
    return value


def check_devices(names: list[str]) -> dict[str, devices.Found]:
    """The devices to use: those asked for, else cuda:0 where it computes, else the CPU.

    Raises:
        ValueError: one of them cannot be used.
    """
    if names:
        return devices.check(names)
    its = devices.probe(["cuda:0"])["cuda:0"]
    if its.reason is None:
        note("no --device given: using cuda:0")
        return {"cuda:0": its}
    why = "there is no GPU here"
    if its.reason != devices.ABSENT:
        why = f"cuda:0 cannot be used ({its.reason}); {devices.remedy(its.reason)}"
    note(f"no --device given: using the CPU, {why}")
    return {"cpu": devices.Found()}


def form_of_updates(options, devices, most: int) -> list[str]:
    """The flags of train.py for --compile and --graphed; a process trains up to `most` runs.

    Raises:
        ValueError: both, or with runs in one process, or a graph on what is no CUDA device.
    """
    form = [f"--{name}" for name in ("compile", "graphed") if getattr(options, name)]
    without = ["--no-graphed"] if options.graphed is False else []
    if len(form) > 1:
        raise ValueError("--graphed and --compile are two forms of an update; give one of them")
    alone = form + (["--track"] if options.track is not None else [])
    if alone and most > 1:
        raise ValueError(f"{alone[0]} is of a run alone; drop it or --batch-runs")
    for device in devices if options.graphed else ():
        if not device.startswith("cuda"):
            raise ValueError(f"--graphed is for a CUDA device; leave it out with --device {device}")
    return form + without


def default_slots(found: dict[str, devices.Found]) -> dict[str, int]:
    """How many runs each device takes at once: together as many as cores, a GPU at most four."""
    usable = getattr(os, "sched_getaffinity", None)  # not everywhere
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    gpus = [name for name in found if name != "cpu"]
    each = max(1, min(JOBS_PER_GPU, cores // max(1, len(gpus))))
    slots = {name: 1 if found[name].exclusive else each for name in gpus}
    left = max(1, cores - sum(slots.values()))
    return {name: slots.get(name, left) for name in found}


def note(text: str):
    """For stderr: what `--dry-run` prints to stdout are command lines and nothing else."""
    print(text, file=sys.stderr, flush=True)


def short(path) -> str:
    """A path as one would type it here."""
    path, here = Path(path).resolve(), Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


# ---------------------------------------------------------------------------------- what is asked


def dry_run(parts, slots: dict[str, int], command):
    """Prints the command lines, command(batch, device); devices in turn, as far as slots go."""
    in_turn = [d for i in range(max(slots.values())) for d in slots if i < slots[d]]
    for batch, device in zip(parts, cycle(in_turn), strict=False):
        print(shlex.join(command(batch, device)))


def check_writable(root: Path, flag: str):
    """Raises ValueError where nothing can be made; `flag` names another place."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(root, os.W_OK | os.X_OK) else "no permission"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise ValueError(f"cannot write to {root} ({reason}); choose another {flag}")


def is_due(job: Job) -> bool:
    """Whether a run is to be computed. What is wrong with a damaged one train.py says in its log.

    Raises:
        ValueError: its folder belongs to another configuration.
    """
    try:
        return not is_finished(job)
    except (OSError, runs.RunError) as error:
        note(str(error))
        return True


def announce(local: Local, skipped: int, parts=None):
    """Says what is going to happen, where, and for how long; in which processes, if that is new."""
    jobs = len(local.waiting)
    finished = f", {skipped} finished already" if skipped else ""
    where = ", ".join(f"{device} ({slots} at once)" for device, slots in local.slots.items())
    what = in_words(parts) if parts else count(jobs, "run")
    print(f"{what} to compute on {where}{finished}")
    if jobs and set(local.slots) == {"cpu"}:
        seconds = makespan(local.loads(local.waiting).values(), local.slots["cpu"])
        words = "at most" if any(task.job.may_stop for task in local.waiting) else "about"
        print(
            f"{words} {duration(seconds)} if this CPU is like the one of the estimates (see --list)"
        )


def submit(jobs, due, queue, cluster, command) -> bool:
    """Submits the due runs that are not queued, and says how to watch and cancel them.

    Returns:
        False, with a line, where Slurm or the disk refuses.
    """
    queued = [job for job in due if queue.has(job)]
    new = [job for job in due if not queue.has(job)]
    device = cluster.device
    words = [f"{len(jobs) - len(due)} finished"] if len(jobs) > len(due) else []
    words += [f"{len(queued)} in the queue already"] if queued else []
    try:
        if new:
            make = slurm_task.task_maker(lambda j: command([j], device), device, new[0].own)
            number = queue.submit(new, cluster, make)
            tasks = count(len({queue.place(job).id for job in new}), "task")
            words.append(f"{len(new)} submitted as job {number}, {tasks}")
    except (ValueError, OSError) as error:
        note(str(error))
        return False
    print(": ".join([count(len(jobs), "run"), *filter(None, [", ".join(words)])]))
    ids = ",".join(sorted({queue.place(job).id.split("_")[0] for job in due}, key=int))
    if ids:
        print(
            f"  watch:   squeue -j {ids}, or this command with --status or --wait"
            f"\n  output:  {short(queue.folder)}/*.out"
            f"\n  cancel:  scancel {ids.replace(',', ' ')}"
        )
    return True


def report_failures(failed):
    processes = groupby(failed, lambda task: (task.log, task.log_start, task.failure))
    for (log, log_start, failure), tasks in processes:
        labels = ", ".join(task.job.label for task in tasks)
        where = f"; the end of {short(log)}:" if log else ""
        print(f"\n{labels} {failure}{where}")
        for line in progress.log_tail(log, log_start) if log else ():
            print(f"    {line}")


def report_divergence(jobs):
    for job in jobs:
        files = runs.Files(job.folder)
        step = files.summary().get("diverged_at_step") if files.is_complete() else None
        if step is not None:
            print(f"{job.label} diverged: not finite at step {step}")


def draw(figures, options, seeds, plots) -> bool:
    """Draws the figures from what is complete; the paths are printed by plots.py."""
    alike = {}  # seeds -> the figures that are drawn from them
    for figure in figures:
        shown = tuple(figure.seeds_at(options.size) if seeds is None else seeds)
        alike.setdefault(shown, []).append(figure.id)
    print("\ndrawing:")
    succeeded = []
    for shown, ids in alike.items():
        words = ["--figures", *ids, "--runs", str(options.root), "--seeds", *map(str, shown)]
        succeeded.append(call_plots([*words, *size_flag(options.size)], options, plots))
    return all(succeeded)


def compare(jobs, varied, options, plots) -> bool:
    """Draws and tabulates the complete runs of a sweep by the fields that it varies."""
    folders = [str(job.folder) for job in jobs if runs.is_complete(job.folder)]
    if not folders:
        return False
    print("\ncomparing:")
    by = ["--by", *varied] if varied else []
    return call_plots(["--compare", *folders, *by, "--table"], options, plots)


def call_plots(words, options, plots) -> bool:
    command = [sys.executable, str(plots), *words]
    command += ["--figures-from", options.figures_from] if options.figures_from else []
    command += ["--out", options.out] if options.out else []
    return subprocess.run(command).returncode == 0


def report(figures, options) -> int:
    """Writes report.html where the pictures go; documents.report prints its path."""
    out = Path(os.path.abspath(options.out)) if options.out else HERE / "figures"
    words = ["--figures", *(f.id for f in figures), "--size", options.size]
    words += ["--runs", str(options.root)] if options.runs else []
    words += ["--figures-from", str(figures[0].source)] if figures[0].source else []
    command = [PYTHON, "-m", "documents.report", *words, "--out", str(out / "report.html")]
    # -m finds it by the folder that it starts in, our own.
    return subprocess.run(command, cwd=HERE, env=os.environ | {"PYTHONSAFEPATH": ""}).returncode


def notebook_command(figures) -> str:
    """How to open the notebook that shows these figures, with the Python in use."""
    jupyter = Path(sys.executable).with_name("jupyter")
    program = [short(jupyter)] if jupyter.exists() else [sys.executable, "-m", "jupyter"]
    related = all(f.id in CATALOG.related for f in figures)
    return shlex.join([*program, "lab", short(RELATED_NOTEBOOK if related else NOTEBOOK)])


def groups(named, catalog: Catalog) -> dict[str, list]:
    """What --list shows: the figures of these ids, all of them for none, as progress wants them."""
    if named:
        return {"These": catalog.figures(named)}
    if catalog.own:
        return {"Your figures": list(catalog.own.values())}
    return {
        "The paper's figures": list(catalog.paper.values()),
        "The related systems' figures": list(catalog.related.values()),
    }


# ---------------------------------------------------------------------------------- main


def main(argv=None, *, train=TRAIN, plots=PLOTS) -> int:
    """The front door; returns the exit code.

    Args:
        argv: the flags; None: those of the process.
        train, plots: the scripts that compute one run and draw figures.
    """
    options = make_parser().parse_args(argv)
    catalog, own = CATALOG, None
    options.root = Path(os.path.abspath(options.runs)) if options.runs else RUNS
    try:
        if options.runs == "":
            raise ValueError("--runs '' is empty; name a folder, or drop it")
        if options.figures_from is not None:
            own = Path(os.path.abspath(options.figures_from))
            catalog = CATALOG.with_file(own)
        named = split_list("--figures", options.figures, catalog.choices)
        figures = catalog.figures(named)
        if options.run is not None and named:
            raise ValueError("--figures and --run are two things to compute; give one of them")
        if options.run is None and options.vary is not None:
            raise ValueError("--vary varies a declared run; name it with --run NAME")
        run = None if options.run is None else catalog.run(options.run)
        varied = {} if options.vary is None else parse_vary(options.vary)
        options.size = asked_size(options.size, options.quick)
        cluster = slurm.parse_options(options)
        seeds = parse_seeds(options.seeds)
        names = parse_devices(options.device)
        tracked = trackers(options.track)
        jobs_each = (
            None
            if options.jobs is None
            else parse_number("--jobs", options.jobs, int, 1, "choose a whole number from 1")
        )
        most = 1
        if options.batch_runs is not None:
            remedy = "choose a whole number from 1"
            most = parse_number("--batch-runs", options.batch_runs, int, 1, remedy)
        interval = parse_number(
            "--interval", options.interval, float, 0.1, "choose seconds from 0.1"
        )
        if options.list and run is None:
            list_figures(groups(named, catalog), seeds, options.root, named)
        where = {"size": options.size, "root": options.root, "own": own}
        if run is None:
            jobs = plan(figures, seeds=seeds, **where)
        else:
            jobs = sweep(run, varied, seeds=seeds or DEFAULT_SEEDS, **where)
        parts = batches(jobs, most)
        if options.list:
            if run is not None:
                list_jobs(jobs)
            if most > 1:
                print(f"--batch-runs {most}, size {options.size}: {in_words(parts)}")
            return told()
        if options.report:
            if run is not None:
                raise ValueError("--report is of figures; drop it or --run")
            require("pandas", "matplotlib", load=find_spec)
            check_writable(Path(options.out) if options.out else HERE / "figures", "--out")
            return report(figures, options)
        if not options.dry_run:
            require("torch", "numpy", "pandas", "matplotlib", "tqdm", load=find_spec)
            if cluster and not cluster.status:
                slurm.check_installed()
        due = [job for job in jobs if is_due(job)]
        wanted = jobs if options.force else due
        if cluster:
            found, slots = [cluster.device], {cluster.device: 1}
            queue = slurm.Queue(options.root)
            if cluster.status:
                slurm.show(jobs, queue)
                return told()
        else:
            for job, name in product(wanted, names):
                devices.check_precision(name, job.config)
            found = check_devices(names)
            slots = dict.fromkeys(found, jobs_each) if jobs_each else default_slots(found)
        form = form_of_updates(options, found, most)
        form += ["--track", *tracked] if tracked else []
        if not options.dry_run:
            check_writable(options.root, "--runs")
            check_writable(Path(options.out) if options.out else HERE / "figures", "--out")
    except (ValueError, OSError) as error:
        note(str(error))
        return 2
    command = partial(train_command, change=options.allow_device_change, form=form, train=train)
    folders = {job.folder for job in wanted}
    parts = [[job for job in batch if job.folder in folders] for batch in parts]
    parts = [batch for batch in parts if batch]
    if options.dry_run:
        parts = [batch for batch in parts if not (cluster and queue.has(batch[0]))]
        if not INSTALLED:
            note(f"{PYTHON} is made by the first start without --dry-run")
        if not wanted:
            note(f"nothing to do: {count(len(jobs), 'run')} finished already")
        dry_run(parts, slots, partial(command, force=options.force))
        if most > 1 and wanted:
            note(in_words(parts))
        return told()
    if cluster:
        if not submit(jobs, wanted, queue, cluster, command):
            return 2
        if not cluster.wait:
            return 0
        local = slurm.Follow(wanted, queue)
    else:
        os.environ[devices.PROBED] = " ".join(found)
        local = Local(parts, slots, command=command, force=options.force)
        announce(local, len(jobs) - len(wanted), parts if most > 1 else None)
    local.run(progress.display(most * sum(local.slots.values()), interval))
    report_failures(local.failed)
    if local.signal and cluster:
        print("no longer followed; the tasks go on (the same command follows them again)")
        return 128 + local.signal
    if local.signal:
        left = len(local.stopped) + len(local.busy) + len(local.waiting)
        again = "again without --force" if options.force else "again"
        print(f"stopped with {count(left, 'run')} left; start the same command {again} to continue")
        return 128 + local.signal
    report_divergence(jobs)
    if run is not None:
        return 0 if compare(jobs, varied, options, plots) and not local.failed else 1
    drawn = draw(figures, options, seeds, plots)
    if figures and not figures[0].source:  # a notebook has no figure of one's own
        print(f"open the notebook: {notebook_command(figures)}")
    return 0 if drawn and not local.failed else 1


if __name__ == "__main__":
    end(main)
