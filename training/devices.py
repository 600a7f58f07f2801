"""A run's device as torch has it: made ready, described for env.json, with its random stream."""

import os
import platform
from pathlib import Path

import torch


def kind(device: str) -> str:
    """cpu, cuda or mps."""
    return device.split(":")[0]


def prepare(device: str):
    """Before anything is computed: float32 products in float32, and CUDA on this GPU alone.

    Ampere and later GPUs would else multiply an LSTM's matrices in TF32, 10 bits of 23, and, where
    the environment asks for it, all others. torch's optimizers ask for the current GPU's stream,
    which opens a context there, so the run's is made the current one.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    for operation in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
        operation.fp32_precision = "ieee"  # the names that torch is changing to
    if kind(device) == "cuda":
        torch.cuda.set_device(torch.device(device).index or 0)


def float32_settings() -> dict:
    """What decides whether a GPU's float32 products are float32's, as torch has it now."""
    return {
        "matmul": torch.backends.cuda.matmul.fp32_precision,
        "cudnn.conv": torch.backends.cudnn.conv.fp32_precision,
        "cudnn.rnn": torch.backends.cudnn.rnn.fp32_precision,
        "NVIDIA_TF32_OVERRIDE": os.environ.get("NVIDIA_TF32_OVERRIDE"),
    }


def identity(device: str) -> dict:
    """{"kind", "name"} of a device, for a checkpoint."""
    if kind(device) == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = processor()
    return {"kind": kind(device), "name": name}


def differs(then: dict, now: dict) -> bool:
    """Whether a run that was begun there and goes on here is of two arithmetics.

    CPUs of different names are taken for one kind: their rounding differs, too, but a run has
    always been free to move between them.
    """
    return then["kind"] != now["kind"] or (now["kind"] == "cuda" and then["name"] != now["name"])


def random_state(device: str) -> torch.Tensor | None:
    """The state of the device's own generator; a CPU's is torch's."""
    if kind(device) == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if kind(device) == "mps" else None


def set_random_state(device: str, state: torch.Tensor):
    if kind(device) == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif kind(device) == "mps":
        torch.mps.set_rng_state(state)


def processor() -> str:
    """Name of the CPU, and what its vector units offer torch."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
