"""Which devices compute, how that is found out, and the one line for each that does not."""

import ctypes
import json
import os
import signal
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from fake_devices import present

import launch
import train
from configuration import devices
from configuration.config import RunConfig
from configuration.devices import ABSENT, Found

RUN = RunConfig(lr=0.01)
# What torch 2.13 raises, or does, at the first tensor on a GPU.
TOO_NEW = "CUDA error: no kernel image is available for execution on the device"
TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)"
BUSY = "CUDA error: CUDA-capable device(s) is/are busy or unavailable"
NO_CUDA = "Torch not compiled with CUDA enabled"
MORE = "\\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
ANSWERS = {
    "computes": ("return Ones()", None, ""),
    "no kernel": (f"raise RuntimeError('{TOO_NEW}{MORE}')", TOO_NEW, "install a torch"),
    "old driver": (f"raise RuntimeError('{TOO_OLD}. Please update.')", TOO_OLD, "driver"),
    "exclusive or prohibited": (f"raise RuntimeError('{BUSY}{MORE}')", BUSY, "wait for it"),
    "without CUDA": (f"raise AssertionError('{NO_CUDA}')", NO_CUDA, "install a torch with CUDA"),
    "breaks down later": ("return Late()", "CUDA error: unknown error", "use --device cpu"),
    "dies": ("os._exit(139)", "a process that computed on it ended with code 139", "use --device"),
}
FAKE_TORCH = """
import os, time
class Ones:
    def sum(self): return self
    def item(self): return 1.0
class Late(Ones):
    def item(self): raise RuntimeError("CUDA error: unknown error")
def ones(count, *, device):
    if device == "cuda:1": raise RuntimeError("CUDA error: invalid device ordinal\\nmore")
    {then}
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """machine(what torch.ones does on cuda:0): one with a GPU's files and that torch."""

    def make(then):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        (folder / "torch.py").write_text(FAKE_TORCH.format(then=then))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setattr(devices, "GPU_FILES", (str(tmp_path),))

    return make


def one_line(call, words, capsys) -> str:
    try:
        code = call(words)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err.strip().removeprefix("train.py: ")


# ------------------------------------------------------------------------- does it compute?


@pytest.mark.parametrize("name", ANSWERS)
def test_a_gpu_that_does_not_compute_is_not_chosen_and_refused_in_the_same_line_by_all(
    machine, name, tmp_path, capsys
):
    then, reason, helps = ANSWERS[name]
    machine(then)
    runs = ["--runs", str(tmp_path / "runs")]
    chosen = launch.main(["--figures", "1", "--dry-run", *runs])
    out, err = capsys.readouterr()
    assert chosen == 0 and err.count("\n") == 1
    device = "cpu" if reason else "cuda:0"
    assert {line.split("--device ")[1].split()[0] for line in out.splitlines()} == {device}
    if reason is None:
        assert err == "no --device given: using cuda:0\n"
        return
    assert err.startswith(f"no --device given: using the CPU, cuda:0 cannot be used ({reason}); ")
    named = one_line(launch.main, ["--device", "cuda", *runs], capsys)
    assert named == one_line(train.main, ["--lr", "1", "--device", "cuda:0", *runs], capsys)
    assert named.startswith(f"device cuda:0 cannot be used ({reason}); ")
    assert helps in named and named.endswith("use --device cpu")
    assert not (tmp_path / "runs").exists()


def test_a_gpu_that_hangs_is_given_up_and_the_others_have_their_answers(machine):
    machine("time.sleep(600)")
    found = devices.probe(["cuda:0", "cpu"], patience=0.2)
    assert found == {"cuda:0": Found("no answer in 0.2 s"), "cpu": Found()}
    assert "nvidia-smi" in devices.remedy(found["cuda:0"].reason)


def test_nothing_that_was_asked_outlives_the_one_who_asks(machine, monkeypatch):
    machine("time.sleep(600)")
    asked = []

    def stopped(process, *_):
        asked.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(devices, "_answer", stopped)
    with pytest.raises(KeyboardInterrupt):
        devices.probe(["cuda:0"])
    assert asked[0].wait() == -signal.SIGKILL


def test_a_device_that_is_not_there_is_absent(machine, monkeypatch):
    machine("return Ones()")
    assert devices.probe(["cuda:1", "mps"]) == {"cuda:1": Found(ABSENT), "mps": Found(ABSENT)}
    monkeypatch.setattr(devices, "GPU_FILES", ("/dev/nothing",))
    monkeypatch.setattr(devices.subprocess, "Popen", None)  # nobody is asked
    for name in ("cuda:0", "mps"):
        with pytest.raises(ValueError, match=f"device {name} is not available here; use --dev"):
            devices.check([name])


def test_the_torch_of_the_working_directory_is_not_asked(machine, tmp_path, monkeypatch):
    machine("return Ones()")
    (tmp_path / "torch.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert devices.probe(["cuda:0"]) == {"cuda:0": Found()}


def test_what_the_launcher_has_asked_its_runs_do_not_ask_again(monkeypatch):
    monkeypatch.setenv(devices.PROBED, "cpu cuda:1")
    monkeypatch.setattr(devices, "probe", present(0))
    assert devices.check(["cuda:1"]) == {"cuda:1": Found()}
    with pytest.raises(ValueError, match="device cuda:0 is not available"):
        devices.check(["cuda:1", "cuda:0"])


@pytest.mark.parametrize(("mode", "exclusive"), [(0, False), (1, True), (2, False), (3, True)])
def test_the_compute_mode_is_the_drivers_attribute_of_that_gpu(monkeypatch, mode, exclusive):
    def attribute(pointer, number, index):
        assert (number, index) == (20, 5)  # cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_MODE
        pointer._obj.value = mode

    libraries = {"libcuda.so.1": SimpleNamespace(cuDeviceGetAttribute=attribute)}
    monkeypatch.setattr(ctypes, "CDLL", libraries.__getitem__)
    assert devices._is_exclusive(5) is exclusive


def test_a_machine_without_cudas_driver_has_no_exclusive_gpu(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert devices._is_exclusive(0) is False
    assert json.loads(json.dumps(asdict(Found()))) == {"reason": None, "exclusive": False}


# ------------------------------------------------------------------------- how many at once?

GPUS = {"cuda:0": Found(), "cuda:1": Found()}
ALONE = Found(exclusive=True)


@pytest.mark.parametrize(
    ("cores", "found", "slots"),
    [
        (64, GPUS, [4, 4]),
        (6, GPUS, [3, 3]),
        (2, {"cuda:0": Found()}, [2]),
        (1, GPUS, [1, 1]),
        (64, {"cuda:0": ALONE, "cuda:1": Found()}, [1, 4]),
        (8, {"cpu": Found()}, [8]),
        (8, {"cpu": Found(), "cuda:0": Found()}, [4, 4]),
        (2, {"cpu": Found(), "cuda:0": Found()}, [1, 2]),
    ],
)
def test_all_devices_together_take_as_many_runs_as_cores_and_a_gpu_four_or_one(
    cores, found, slots, monkeypatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores))
    assert launch.default_slots(found) == dict(zip(found, slots, strict=True))


# ------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "HIP error: HIPBLAS_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)",
    ],
)
def test_memory_that_is_not_to_be_had_is_a_line_in_all_its_forms(words):
    line = devices.trouble(RuntimeError(words), "cuda:1")
    assert line.startswith("out of memory on cuda:1 (") and "\n" not in line
    assert "run fewer at once (--jobs 1)" in line and words.split("\n")[0] in line


def test_other_errors_are_no_lack_of_memory_and_a_cpus_remedy_is_a_smaller_run():
    for words in ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED", "an illegal memory access", ""):
        assert devices.trouble(RuntimeError(words), "cuda:0") is None
    assert devices.trouble(MemoryError(), "cpu") == "out of memory (); choose a smaller run"
    busy = devices.trouble(RuntimeError(BUSY + "\nmore"), "cuda:0")
    assert BUSY in busy and "wait for it" in busy and "\n" not in busy


# ------------------------------------------------------------------------- float64

WIDE = {
    "train_precision 64": dict(train_precision=64),
    "softmax_precision 64": dict(softmax_precision=64),
    "stablemax_precision 64": dict(loss_function="stablemax"),
    "log_dimension": dict(use_transformer=True, log_dimension=10),
    "log_attention": dict(use_transformer=True, log_attention=True),
}


@pytest.mark.parametrize("field", WIDE)
def test_mps_refuses_what_needs_float64_and_nothing_else_does(field):
    config = replace(RUN, **WIDE[field])
    for device in ("cpu", "cuda:0"):
        devices.check_precision(device, config)
    with pytest.raises(ValueError) as error:
        devices.check_precision("mps", config)
    assert str(error.value) == (f"device mps has no float64, which {field} needs; use --device cpu")


@pytest.mark.parametrize(
    "change",
    [{}, {"softmax_precision": 16}, {"loss_function": "stablemax", "stablemax_precision": 32}],
)
def test_mps_takes_float32_and_float16(change):
    devices.check_precision("mps", replace(RUN, **change))


def test_every_command_refuses_float64_on_mps_in_the_same_line(tmp_path, capsys):
    words = ["--run", "add_softmax64", "--device", "mps", "--runs", str(tmp_path / "runs")]
    line = one_line(train.main, words, capsys)
    assert "softmax_precision 64" in line
    assert line == one_line(launch.main, words, capsys)
    assert not (tmp_path / "runs").exists()
