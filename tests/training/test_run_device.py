"""What a run's device is made to do before it computes, and a run that changes its device."""

import json
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import metrics
import train
from configuration import runs
from configuration.config import RunConfig
from conftest import ROOT
from training import devices
from training.session import Session

TINY = RunConfig(
    lr=0.01, modulo=7, hidden_sizes=(8,), train_fraction=0.5, num_epochs=20, log_frequency=5
)
CPU, OTHER_CPU = ({"kind": "cpu", "name": name} for name in ("a CPU", "another CPU"))
H100, H200 = ({"kind": "cuda", "name": name} for name in ("NVIDIA H100", "NVIDIA H200"))
MPS = {"kind": "mps", "name": "M9"}

# ---------------------------------------------------------------------------------- a process

AS_A_PROCESS = """
import os, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    import torch
    products = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
    print(end.code, products, [os.environ.get(name) for name in names])
"""


def test_a_process_multiplies_in_float32_whatever_its_environment_says_and_a_cpus_sees_no_gpu(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    words = ["--lr", "0.01", "--modulo", "7", "--num_epochs", "1", "--run_dir", tmp_path]
    command = [sys.executable, "-c", AS_A_PROCESS, ROOT / "train.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 (False, False) ['', '', None]"
    assert json.loads((tmp_path / runs.ENV).read_text())["float32"] == {
        "matmul": "ieee", "cudnn.conv": "ieee", "cudnn.rnn": "ieee", "NVIDIA_TF32_OVERRIDE": "0"
    }  # fmt: skip


def test_tf32_that_was_let_in_is_shut_out_by_a_session():
    with torch.backends.cudnn.flags(allow_tf32=True):
        torch.set_float32_matmul_precision("high")
        let_in = devices.float32_settings()
        Session(TINY)
        settings = devices.float32_settings()
        settings.pop("NVIDIA_TF32_OVERRIDE")
    assert (let_in["matmul"], let_in["cudnn.rnn"]) == ("tf32", "tf32")
    assert set(settings.values()) == {"ieee"}


@pytest.mark.parametrize(
    ("flags", "device", "nvidia", "graphed"),
    [
        ([], "cuda:0", "13.0", True),
        ([], "cuda:0", None, False),  # another maker's
        ([], "cpu", "13.0", False),
        (["--compile"], "cuda:0", "13.0", False),
        (["--no-graphed"], "cuda:0", "13.0", False),
        (["--graphed"], "cuda:0", None, True),
        (["--run", "add_pku_lstm_50"], "cuda:0", "13.0", False),
    ],
    ids=str,
)
def test_a_run_on_an_nvidia_gpu_is_graphed_where_it_can_be_unless_told(
    flags, device, nvidia, graphed, monkeypatch, tmp_path
):
    asked = []

    def trained(config, folder, *, environment, **options):
        asked.append((options["graphed"], environment()["graphed"]))
        return {}

    monkeypatch.setattr(torch.version, "cuda", nvidia)
    monkeypatch.setattr(train, "prepare", lambda *_: None)
    monkeypatch.setattr(train, "train", trained)
    monkeypatch.setattr(train, "tell", lambda *_: None)
    monkeypatch.setattr("training.devices.identity", lambda _: {"kind": "", "name": ""})
    train.main(["--lr", "0.01", "--run_dir", str(tmp_path), "--device", device, *flags])
    assert asked == [(graphed, graphed)]


class Touched(Exception):
    pass


@pytest.mark.parametrize(("device", "index"), [("cuda:1", 1), ("cuda", 0)])
def test_a_gpus_run_makes_it_the_current_one_before_all_else(device, index, monkeypatch):
    def set_device(number):
        assert number == index
        raise Touched

    monkeypatch.setattr(torch.cuda, "set_device", set_device)
    monkeypatch.setattr(torch, "manual_seed", lambda _: pytest.fail("computes already"))
    with pytest.raises(Touched):
        Session(TINY, device)


# ---------------------------------------------------------------------------------- a change


def test_other_cpus_are_one_kind_and_other_models_of_gpu_are_not():
    one, two = torch.tensor([[False, True, True], [True, False, True], [True, True, True]]), []
    for then in (CPU, H100, MPS):
        two.append([devices.differs(then, now) for now in (OTHER_CPU, H100, H200)])
    assert two == one.tolist()
    assert not devices.differs(MPS, MPS | {"name": "M10"})


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start(identity, *flags, stop=None) -> exit code; in one folder, on a CPU of that name."""

    def call(identity, *flags, stop=None):
        monkeypatch.setattr(devices, "identity", lambda device: identity)
        if stop is None:
            words = "--lr 0.01 --modulo 7 --hidden_sizes 8 --train_fraction 0.5 --num_epochs 20"
            words += " --log_frequency 5 --run_dir"
            return train.main([*words.split(), str(tmp_path / "run"), *flags])
        steps = iter(range(100))
        env = {"started": "then", "device": identity["name"], "device_flag": "cpu"}
        with runs.RunFolder(tmp_path / "run", TINY) as folder, pytest.raises(train.Stopped):
            train.train(
                TINY,
                folder,
                stop_asked=lambda: next(steps) == stop,
                environment=lambda: env,
                allow_device_change="--allow_device_change" in flags,
            )
        return runs.EXIT_STOPPED

    return call


def told_starts(folder):
    return [(s["device"], s["step"]) for s in runs.read_json(folder / runs.ENV)["starts"]]


def test_another_kind_of_device_is_refused_or_allowed_and_recorded_start_by_start(
    start, tmp_path, capsys
):
    folder = tmp_path / "run"
    start(H100, stop=7)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != runs.LOCK}
    for other in (CPU, H200, MPS):
        assert start(other) == 2
        (line,) = capsys.readouterr().err.splitlines()
        for words in ("NVIDIA H100", other["name"], "--allow_device_change", "--force"):
            assert words in line
    assert {name: (folder / name).read_bytes() for name in before} == before
    start(H100, stop=2)
    start(CPU, "--allow_device_change", stop=3)
    start(OTHER_CPU, stop=1)
    assert start(CPU) == 0
    assert told_starts(folder) == [
        ("NVIDIA H100", 0), ("NVIDIA H100", 7), ("a CPU", 9), ("another CPU", 12), ("a CPU", 13)
    ]  # fmt: skip
    assert runs.read_metrics(folder)["step"].tolist() == [0, 5, 10, 15, 20]
    assert start(H200, "--force") == 0
    assert told_starts(folder) == [("NVIDIA H200", 0)]


def test_a_run_that_was_begun_before_devices_were_recorded_goes_on_as_before(start, tmp_path):
    folder = tmp_path / "run"
    start(H100, stop=7)
    state = runs._load_checkpoint(folder / runs.CHECKPOINT, "cpu")
    assert state.pop("device") == H100
    old = {"started": "long ago", "device": "NVIDIA H100", "device_flag": "cuda:0", "torch": "2"}
    with runs.RunFolder(folder, TINY) as opened:
        opened.load_checkpoint()
        opened.save_checkpoint(state)
    (folder / runs.ENV).write_text(json.dumps(old))
    assert start(CPU) == 0
    env = runs.read_json(folder / runs.ENV)
    first, second = env["starts"]
    assert first == {key: old[key] for key in runs.STARTED}
    assert (second["device"], second["step"], second["started"]) == ("a CPU", 7, env["started"])


@pytest.mark.parametrize("damage", ['{"starts": 3}', "{", "[]", '{"starts": null}'])
def test_a_damaged_record_of_starts_stops_no_run(start, tmp_path, damage):
    start(CPU, stop=7)
    (tmp_path / "run" / runs.ENV).write_text(damage)
    assert start(CPU) == 0
    assert told_starts(tmp_path / "run") == [("a CPU", 7)]


def test_a_gpus_random_stream_stays_with_gpus(monkeypatch):
    session, other = Session(TINY), Session(RunConfig(**{**vars(TINY), "seed": 1}))
    state = session.state(0, 0.0) | {"device": H100, "device_rng": torch.zeros(16)}
    other.restore(state)  # without CUDA, setting its stream would fail
    for a, b in zip(session.weights, other.weights, strict=True):
        assert torch.equal(a, b)
    seen = []
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *given: seen.append(given))
    other.device = "cuda:1"
    for before in (H100, None):  # an older checkpoint does not say
        changed = {"device": before} if before else {}
        other.restore({k: v for k, v in state.items() if k != "device"} | changed)
    assert [(given[0] is state["device_rng"], given[1]) for given in seen] == [(True, "cuda:1")] * 2


# ---------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("own", [False, True])
def test_a_gpu_without_memory_is_one_line(own, tmp_path, monkeypatch, capsys):
    def lacks(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("training.session.Session", lacks)
    monkeypatch.setattr(train.devices, "check", lambda names: None)
    monkeypatch.setattr(devices, "identity", lambda device: H100)
    monkeypatch.setattr(train, "own_file", lambda argv: tmp_path / "own.py" if own else None)
    monkeypatch.setattr(train.Catalog, "with_file", lambda catalog, file: catalog)
    given = ["--lr", "0.01", "--device", "cuda:1", "--run_dir", str(tmp_path / "run")]
    assert train.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train.py: out of memory on cuda:1 (CUDA out of memory.")
    assert "--jobs 1" in line


# ---------------------------------------------------------------------------------- mps


def is_meta(x):
    return isinstance(x, torch.Tensor) and x.device.type == "meta"


class WithoutFloat64(TorchDispatchMode):
    """The meta device as mps is: it has no float64. What leaves it for the CPU is zeros there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        to = kwargs.get("device")
        if to is not None and to.type == "cpu" and args and is_meta(args[0]):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        out = function(*args, **kwargs)
        if any(is_meta(x) and x.dtype == torch.float64 for x in tree_leaves(out)):
            raise TypeError("the MPS framework doesn't support float64")
        return out


MEASURED = dict(log_top5=True, log_gradients=True, log_nlm_cosine=True)
NARROW = {
    "mlp": dict(hidden_sizes=(8,), log_absorption=True, optimizer="SGD", momentum=0.0),
    "float16": dict(hidden_sizes=(8,), softmax_precision=16, label_smoothing=0.1),
    "stablemax": dict(loss_function="stablemax", stablemax_precision=32, hidden_sizes=(8,)),
    "squares": dict(loss_function="mse", hidden_sizes=(8,), alpha=2.0),
    "transformer": dict(use_transformer=True, model_dim=8, ff_dim=16, positions="sinusoidal"),
    "noise": dict(hidden_sizes=(8,), weight_noise=0.1, update_noise=0.1, clip_norm=1.0),
}


@pytest.mark.parametrize("kind", [*NARROW, "float64"])
def test_a_run_in_float32_computes_nothing_in_float64_on_a_device_that_has_none(kind, monkeypatch):
    monkeypatch.setattr(metrics, "NO_FLOAT64", ("mps", "meta"))
    change = NARROW.get(kind, dict(hidden_sizes=(8,), softmax_precision=64))
    config = RunConfig(**{"lr": 0.01, "modulo": 7, "train_fraction": 0.5} | MEASURED | change)
    refused = pytest.raises(TypeError, match="float64") if kind == "float64" else nullcontext()
    with refused, WithoutFloat64():
        session = Session(config, "meta")
        for _ in range(2):
            session.update()
        row = session.row(2)
    if kind != "float64":
        assert row["train_accuracy"] == 0 and "gradient_norm" in row  # from zeros, all of it
