"""The devices a run may be computed on: their names, which of them compute, what they lack.

Whether a GPU can be used is found out by computing on it: the driver's list also names those that
this torch has no kernels for. That is done in a process of its own, for which this file is the
script: it may hang, and a process that has asked CUDA can no longer be forked. Imports no torch.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# Any of these means torch may find a GPU (NVIDIA, also on Tegra; AMD; WSL): only then it is asked.
GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvmap", "/dev/kfd", "/dev/dxg")
PATIENCE = 120.0  # seconds for torch to be loaded from a slow disk and to compute one sum
PROBED = "DEVICES_PROBED"  # environment variable: names that whoever started this process has asked
# In the environment of a CPU's run: there torch's optimizers would open a context on the GPU.
HIDDEN = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
ABSENT = "is not here"
# What torch says -> what helps.
REMEDIES = {
    "busy or unavailable": "another process may have it to itself (nvidia-smi shows the compute"
    " mode): wait for it, give --jobs 1",
    "no kernel image": "install a torch that was built for this GPU (pytorch.org)",
    "driver": "install the driver that this torch needs (nvidia-smi shows yours)",
    "not compiled with CUDA": "install a torch with CUDA (pytorch.org)",
    "no answer": "look whether nvidia-smi answers",
}
# CUDA's own words and torch's, and those of cuBLAS and cuDNN, which allocate for themselves.
OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|Storage size calculation overflowed"
    r"|(BLAS|DNN|SOLVER|SPARSE)_STATUS_(\w*ALLOC\w*_FAILED|NOT_INITIALIZED)"
)


@dataclass(frozen=True)
class Found:
    """What became of computing on a device."""

    reason: str | None = None  # why it cannot be used; None: it can
    exclusive: bool = False  # takes one process at a time


def device_name(word: str) -> str:
    """cpu, mps or cuda:N, for cuda cuda:0; whether this machine has it is `check`'s question.

    Raises:
        ValueError: any other word; one line.
    """
    if not re.fullmatch("cpu|mps|cuda(:[0-9]+)?", word, re.ASCII):
        raise ValueError(f"unknown device '{word}'; choose from cpu, cuda:0, cuda:1 ..., mps")
    return f"cuda:{int(word[5:] or 0)}" if word.startswith("cuda") else word


def check_precision(device: str, config):
    """Raises ValueError, one line, where a configuration computes in float64 and mps has none."""
    if device != "mps":
        return
    loss = "stablemax" if config.loss_function == "stablemax" else "softmax"
    needed = {
        "train_precision 64": config.train_precision == 64,
        f"{loss}_precision 64": config.loss_precision == 64,
        "softmax_precision 64": config.softmax_precision == 64,  # of softmax_collapse
        "log_dimension": config.log_dimension,
        "log_attention": config.log_attention,
    }
    for field in (field for field, is_needed in needed.items() if is_needed):
        raise ValueError(f"device mps has no float64, which {field} needs; use --device cpu")


def probe(names: Sequence[str], patience: float = PATIENCE) -> dict[str, Found]:
    """What becomes of a sum on each of these devices, all at once, each in a process of its own.

    Args:
        names: as `device_name` returns them; the CPU is not asked.
        patience: seconds until a process that says nothing is given up.
    """
    gpus = any(map(os.path.exists, GPU_FILES))
    found, asked = dict.fromkeys(names, Found()), {}
    for name in (name for name in names if name != "cpu"):
        if not (sys.platform == "darwin" if name == "mps" else gpus):
            found[name] = Found(ABSENT)
        elif find_spec("torch") is None:  # before the first start: as far as one can see
            count = len(list(Path("/dev").glob("nvidia[0-9]*"))) or 1
            found[name] = Found(ABSENT if name != "mps" and int(name[5:]) >= count else None)
        else:
            # -P: not the torch.py of the working directory.
            command = [sys.executable, "-P", __file__, name]
            asked[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            )  # fmt: skip
    end = time.monotonic() + patience
    try:
        for name, process in asked.items():
            found[name] = _answer(process, max(0.0, end - time.monotonic()), patience)
    finally:
        for process in asked.values():
            process.kill()  # and no wait: one that hangs in the driver does not end
    return found


def _answer(process, left: float, patience: float) -> Found:
    try:
        said = process.communicate(timeout=left)[0]
        return Found(**json.loads(said.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        process.stdout.close()
        return Found(f"no answer in {patience:g} s")
    except (IndexError, TypeError, ValueError):
        return Found(f"a process that computed on it ended with code {process.returncode}")


def check(names: Iterable[str]) -> dict[str, Found]:
    """`probe` of the devices that have not been asked yet.

    Raises:
        ValueError: one of them cannot be used: its name, torch's reason and what helps, in a line.
    """
    names, asked = list(names), os.environ.get(PROBED, "").split()
    found = dict.fromkeys(names, Found()) | probe([name for name in names if name not in asked])
    for name, its in found.items():
        if its.reason == ABSENT:
            raise ValueError(f"device {name} is not available here; use --device cpu")
        if its.reason:
            raise ValueError(f"device {name} cannot be used ({its.reason}); {remedy(its.reason)}")
    return found


def remedy(reason: str) -> str:
    """What helps where torch cannot use a device."""
    fitting = (helps for words, helps in REMEDIES.items() if words in reason)
    return ", or ".join((*fitting, "use --device cpu"))


def trouble(error: BaseException, device: str) -> str | None:
    """The line for memory or a GPU that is not to be had; None for any other error."""
    reason = first_line(error)
    if "busy or unavailable" in reason:
        return f"device {device} cannot be used ({reason}); {remedy(reason)}"
    lacks = isinstance(error, MemoryError) or isinstance(error.__context__, MemoryError)
    if not (lacks or OUT_OF_MEMORY.search(str(error))):
        return None
    if device == "cpu":
        return f"out of memory ({reason}); choose a smaller run"
    return (
        f"out of memory on {device} ({reason}); run fewer at once (--jobs 1), or choose a smaller"
        " run"
    )


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]


# ---------------------------------------------------------------------------------- the script


def _compute(name: str) -> Found:
    import torch

    try:
        torch.ones(1, device=name).sum().item()
    except Exception as error:
        if "invalid device ordinal" in str(error):
            return Found(ABSENT)
        return Found(first_line(error).split(". ")[0] or type(error).__name__)
    return Found(exclusive=name != "mps" and _is_exclusive(int(name[5:])))


def _is_exclusive(index: int) -> bool:
    """Whether the GPU's compute mode is exclusive; False where no CUDA driver can be asked."""
    mode = ctypes.c_int(0)
    with suppress(OSError, AttributeError):
        compute_mode = 20  # CU_DEVICE_ATTRIBUTE_COMPUTE_MODE in cuda.h
        ctypes.CDLL("libcuda.so.1").cuDeviceGetAttribute(ctypes.byref(mode), compute_mode, index)
    return mode.value in (1, 3)  # CU_COMPUTEMODE_EXCLUSIVE, which is old, and _EXCLUSIVE_PROCESS


if __name__ == "__main__":
    print(json.dumps(vars(_compute(sys.argv[1]))))
