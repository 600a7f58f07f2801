"""Milliseconds of a training step: plain implementations, ours, and ours' matrix products alone.

    python benchmarks/step_time.py                      # every kind of run, one thread
    python benchmarks/step_time.py --kinds mlp --csv step_time.csv
    python benchmarks/step_time.py --markdown           # the table of README.md

Runs of the manifest whose step is the same computation are one kind; three decoders stand for the
transformers of the related systems. `plain` is benchmarks/plain.py; `bag` is the same with
nn.EmbeddingBag for the multi-hot input and the fused optimizer, three lines that a competent user
writes (MLPs without biases on such inputs only); `ours` is Session.update; `floor` repeats the
matrix products that one of our updates was seen to make, with operands of the same shapes, layouts
and dtypes: it is the floor of MKL's products, not of the processor, whose peak is higher. They take
turns, so that a change of the machine's speed meets all of them; the medians over the turns and
their quotients are shown. All kinds take some minutes on one core.
"""

import argparse
import csv
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.plain import RUNS, PlainRun
from configuration.config import RunConfig
from training.devices import processor
from training.session import Session

# The fields that decide what a step computes; runs that agree in them are one kind.
COSTLY = (
    "dataset", "modulo", "input_size", "exclude_zero", "train_fraction", "num_samples",
    "num_parity_features", "num_noise_features", "code_bits", "hidden_sizes", "has_bias",
    "network_kind", "num_layers", "model_dim", "num_heads", "ff_dim", "dropout",
    "loss_function", "loss_precision", "half_softmax", "train_precision", "optimizer",
    "orthogonal_gradients",
    "full_batch", "batch_size",
)  # fmt: skip
# What plain.py does not know, or knows for DECODERS alone: runs of the manifest that differ from
# these values are left out, and said so.
PLAIN = {
    "norm": "post", "activation": "relu", "positions": "none", "causal": False, "tied_head": False,
    "label_smoothing": 0.0, "alpha": 1.0, "regularization": "None", "use_lr_scheduler": False,
    "restore_gradient_norm": True, "final_norm": False, "ff_hidden_layers": 1, "init_scale": 1.0,
    "train_samples": None, "softmax_temperature": 1.0, "logit_norm_penalty": 0.0,
    "induce_collapse_epoch": None, "scale_embedding": False, "embedding_noise": 0.0,
    "weight_noise": 0.0, "update_noise": 0.0, "weight_decay_to": "zero", "decay_all": True,
    "lr_schedule": "constant", "warmup_steps": 0, "clip_norm": None, "batch_order": "shuffled",
    "label_noise": 0, "rotation": 0.0, "blur": 0.0, "gradient_filter": None,
}  # fmt: skip
# The related systems' decoders on x op y =, which stand for all of their transformer runs.
DECODER = RunConfig(
    dataset="tokens", binary_operation="divide_mod", network="transformer", modulo=97,
    train_fraction=0.5, num_layers=2, ff_dim=512, dropout=0.0, final_norm=True, activation="gelu",
    positions="learned", causal=True, lr=0.001, weight_decay=1.0, beta2=0.98, adam_epsilon=1e-8,
    warmup_steps=10, full_batch=False, batch_size=512, num_steps=100_000,
)  # fmt: skip
DECODERS = {
    "decoder, post-norm, gelu (001, 002)": DECODER,
    "decoder, post-norm, relu, tied (003)": replace(
        DECODER, activation="relu", final_norm=False, tied_head=True, full_head=True
    ),
    "decoder, pre-norm, gelu, dropout 0.1 (004)": replace(
        DECODER, norm="pre", dropout=0.1, dropout_at="all", scale_embedding=True, clip_norm=1.0,
        weight_decay=0.01, adam_epsilon=1e-6, warmup_start=1 / 3,
    ),
}  # fmt: skip
FORMS = ("plain", "bag", "ours", "floor")
QUOTIENTS = (("bag", "ours"), ("plain", "ours"), ("ours", "floor"))
COLUMNS = ("kind", "runs", *(f"{f}_ms" for f in FORMS), *(f"{a}_over_{b}" for a, b in QUOTIENTS))
BUSY = 0.5  # load average above which a machine is not idle


def kind_name(config):
    """Readable name of a kind, such as `mlp 113 40 % stablemax64 adamw`."""
    network = config.network_kind
    size = config.modulo
    if config.dataset != "add_mod":
        network += " " + config.dataset.removesuffix("_alg")
    if config.dataset == "sparse_parity":
        size = config.num_samples
    widths = "-".join(map(str, config.hidden_sizes))
    if config.dataset == "binary_alg" and config.code_bits:
        network += f" {config.code_bits} bits"
    if config.dataset == "add_mod" and config.has_bias and network == "mlp":
        network += " bias"
    width = {"transformer": config.model_dim, "mlp": widths}[config.network_kind]
    if width not in ("200-200", 128):
        network += f" {width}"
    method = ("ortho" if config.orthogonal_gradients else "") + config.optimizer.lower()
    loss = config.loss_function.replace("cross_entropy", "softmax") + str(config.loss_precision)
    name = f"{network} {size} {100 * config.train_fraction:g} % {loss} {method}"
    name += " as a CPU" * (config.half_softmax == "cpu")
    name += "" if config.full_batch else f" batch {config.batch_size}"
    return name + (f" float{config.train_precision}" if config.train_precision != 32 else "")


def kinds():
    """[(configuration, names of its runs)] of the manifest, and the names of all other runs."""
    found, left_out = {}, []
    for run in RUNS.values():
        config = run.config
        related = config.dataset == "tokens" or config.network_kind not in ("mlp", "transformer")
        encoder_without_bias = config.network_kind == "transformer" and not config.has_bias
        different = any(getattr(config, name) != value for name, value in PLAIN.items())
        if related or different or encoder_without_bias:
            left_out.append(run.name)
            continue
        key = tuple(getattr(config, name) for name in COSTLY)
        found.setdefault(key, (config, []))[1].append(run.name)
    return list(found.values()), left_out


class Products(TorchDispatchMode):
    """Notes the matrix products that are made inside it."""

    def __init__(self):
        super().__init__()
        self.calls, self.buffers = [], {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in ("mm", "addmm", "addmm_", "bmm", "baddbmm"):
            left, right = args[1:3] if "add" in name else args[:2]
            self.calls.append([self.like(t) for t in (left, right, out)])
        return out

    def like(self, tensor):
        """A tensor of the same shape, layout and dtype; the same one for the same memory."""
        key = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
        if key not in self.buffers:
            self.buffers[key] = torch.randn_like(tensor)
        return self.buffers[key]

    def repeat(self):
        for left, right, out in self.calls:
            (torch.mm if left.dim() == 2 else torch.bmm)(left, right, out=out)


def measure(config, repetitions, steps):
    """Median milliseconds a step of each form that the configuration has."""
    ours, products = Session(config), Products()
    with products:
        ours.update()
    forms = {"plain": PlainRun(config).update, "ours": ours.update, "floor": products.repeat}
    if has_bag(config, ours.data.train_inputs):
        forms["bag"] = PlainRun(config, bag=True).update
    times = {name: [] for name in forms}
    for turn in range(repetitions + 1):  # the first turn warms up
        for name, form in forms.items():
            started = time.perf_counter()
            for _ in range(steps):
                form()
            if turn:
                times[name].append((time.perf_counter() - started) / steps * 1e3)
    return {name: median(taken) for name, taken in times.items()}


def has_bag(config, inputs):
    """Whether the first layer of an MLP can be nn.EmbeddingBag."""
    return config.network_kind == "mlp" and not (inputs.is_floating_point() or config.has_bias)


def show(row, markdown):
    cells = [row["kind"], str(len(row["runs"].split()) or "-")]
    for column in COLUMNS[2:]:
        digits = 1 if column.endswith("_ms") else 2
        cells.append("-" if row[column] is None else f"{row[column]:.{digits}f}")
    return line(cells, markdown)


def line(cells, markdown):
    if markdown:
        return "| " + " | ".join(cells) + " |"
    return f"{cells[0]:44s}" + "".join(f"{cell:>12s}" for cell in cells[1:])


def main():
    parser = argparse.ArgumentParser(prog="step_time.py", description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="*", default=[""], help="parts of their names")
    parser.add_argument("--repetitions", type=int, default=15, help="turns of each form [15]")
    parser.add_argument("--steps", type=int, default=5, help="steps in a turn [5]")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", action="store_true", help="the table as README.md has it")
    parser.add_argument("--csv", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "load": round(load, 1),
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    if load > BUSY:
        print(f"load average {load:.1f}: this machine is not idle", file=sys.stderr)
    found, left_out = kinds()
    related = [n for n in left_out if RUNS[n].config.dataset == "tokens"]
    lacking = sorted(set(left_out) - set(related))
    if lacking:
        print(f"not here, as plain.py lacks their options: {', '.join(lacking)}\n")
    heads = ["kind of run", "runs", *(f"{form} ms" for form in FORMS)]
    heads += [f"{a}/{b}" for a, b in QUOTIENTS]
    print(line(heads, arguments.markdown))
    if arguments.markdown:
        print(line(["---", *["---:"] * (len(heads) - 1)], True))
    rows = []
    listed = [(kind_name(config), config, names) for config, names in found]
    listed += [(name, config, []) for name, config in DECODERS.items()]
    for kind, config, names in listed:
        if not any(part in kind for part in arguments.kinds):
            continue
        took = measure(config, arguments.repetitions, arguments.steps)
        values = [kind, " ".join(names), *map(took.get, FORMS)]
        values += [took[a] / took[b] if a in took else None for a, b in QUOTIENTS]
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        print(show(rows[-1], arguments.markdown), flush=True)
    if not rows:
        names = ", ".join(kind for kind, _, _ in listed)
        parser.exit(2, f"step_time.py: no kind is named {arguments.kinds}; choose from {names}\n")
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, [*COLUMNS, *machine])
            writer.writeheader()
            writer.writerows(row | machine for row in rows)


if __name__ == "__main__":
    main()
