"""One update is the plain one, in every form, and nothing in it waits for the device.

The oracle is benchmarks/plain.py: dense one-hot rows, torch's own layers, losses by their formula,
autograd and torch's optimizers. So these tests also say that the benchmark compares like with like.
"""

import builtins
import copy
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from house import PAPER_RUNS
from torch._dynamo.utils import counters
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import datasets
import models
import optimizers
import stablemax
from benchmarks import gpu, step_time
from benchmarks.plain import PlainRun
from configuration.config import RunConfig
from layers import encoder
from layers import passes as layers
from training import graphs, session
from training.session import Session

BASE = dict(lr=0.01, train_fraction=0.5, num_epochs=1000)
MLP = dict(modulo=13, hidden_sizes=(24, 17))
TRANSFORMER = dict(modulo=13, use_transformer=True, model_dim=16, num_heads=2, ff_dim=24)
TRANSFORMER |= dict(dropout=0.0, lr=0.003)
PARITY = dict(hidden_sizes=(24, 17), dataset="sparse_parity", num_samples=150, num_noise_features=9)
BATCHES = dict(full_batch=False, batch_size=25)  # 84 examples: three batches and a short one
ADAM = dict(adam_epsilon=1e-8)
# The related systems' decoders on x op y =, without the dropout that no two draws share.
DECODER = TRANSFORMER | BATCHES | dict(
    dataset="tokens",
    num_layers=2, positions="learned", causal=True, weight_decay=1.0, adam_epsilon=1e-6,
    warmup_steps=4,
)  # fmt: skip
KINDS = {
    "mlp": MLP | ADAM,
    "mlp with bias": MLP | ADAM | dict(bias=True),
    "mlp on dense rows": PARITY | ADAM,
    "mlp, mini-batches": MLP | ADAM | BATCHES,
    "mlp, orthogonal SGD": MLP | dict(optimizer="SGD", orthogonal_gradients=True, lr=0.1),
    "mlp, weight decay": MLP | ADAM | dict(weight_decay=0.1, optimizer="Adam"),
    "transformer": TRANSFORMER | ADAM,
    "transformer, mini-batches": TRANSFORMER | ADAM | BATCHES,
    "transformer, post-norm, gelu (001, 002)": DECODER | dict(activation="gelu", final_norm=True),
    "transformer, post-norm, tied (003)": DECODER | dict(tied_head=True),
    "transformer, pre-norm, clipped (004)": DECODER | dict(
        norm="pre", activation="gelu", final_norm=True, scale_embedding=True, clip_norm=0.1,
        warmup_start=1 / 3,
    ),
}  # fmt: skip
LOSSES = {
    "softmax": dict(loss_function="cross_entropy", softmax_precision=64),
    "stablemax": dict(loss_function="stablemax"),
}
OTHER_LOSSES = {
    "taylor": dict(loss_function="taylor", softmax_precision=64),
    "mse": dict(loss_function="mse", softmax_precision=64),
    "sparsemax": dict(loss_function="sparsemax", softmax_precision=64),
}
ALL_LOSSES = LOSSES | OTHER_LOSSES
kinds = pytest.mark.parametrize("kind", KINDS)


def settings(kind, loss, **change):
    return RunConfig(**BASE | KINDS[kind] | ALL_LOSSES[loss] | change)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks so small that every batch here is cut into several, the last one short."""
    monkeypatch.setattr(layers, "NETWORK_CHUNK", 24 * 8 * 19)
    monkeypatch.setattr(stablemax, "CHUNK_ELEMENTS", 1)  # 16 rows at least


def as_on_a_gpu(monkeypatch):
    """Has the CPU compute what a GPU would, but for the form of its own kernels."""
    for module in (layers, encoder, models, session):
        monkeypatch.setattr(module, "written_out", lambda x: False)
    monkeypatch.setattr(stablemax, "_goes_by_parts", lambda rows: False)
    monkeypatch.setattr(optimizers, "_sums_one_by_one", lambda tensor: False)
    monkeypatch.setattr(optimizers, "TOGETHER", {})


def after(make, config, steps):
    """(weights, gradients of the last update) after this many updates."""
    run = make(config)
    for _ in range(steps):
        run.update()
    weights = list(run.model.parameters())
    return [w.detach() for w in weights], [w.grad for w in weights]


def assert_near(ours, plain, limit):
    """Each tensor within `limit` of the plain one, relative to its norm."""
    for mine, theirs in zip(ours, plain, strict=True):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        assert (mine - theirs).norm() <= limit * theirs.norm()


# ----------------------------------------------------------------- equal to the plain form


@kinds
@pytest.mark.parametrize("bits", [32, 64])
def test_logits_and_initial_weights_are_the_plain_ones(kind, bits):
    config = settings(kind, "softmax", train_precision=bits)
    ours, plain = Session(config), PlainRun(config)
    assert all(
        torch.equal(a, b)
        for a, b in zip(ours.model.parameters(), plain.model.parameters(), strict=True)
    )
    logits = [ours.model(ours.data.test_inputs), plain.model(plain.sets[1][0])]
    torch.testing.assert_close(*logits, rtol=1e-12 if bits == 64 else 1e-5, atol=1e-14 * 2**29)
    torch.testing.assert_close(ours.data.test_targets, plain.sets[1][1])


@kinds
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_gradients_and_100_updates_in_float64_are_the_plain_ones(kind, loss):
    config = settings(kind, loss, train_precision=64)
    assert_near(after(Session, config, 1)[1], after(PlainRun, config, 1)[1], 1e-11)
    ours, plain = after(Session, config, 100)[0], after(PlainRun, config, 100)[0]
    assert_near(ours, plain, 1e-9)
    start = after(Session, config, 0)[0]
    assert any((a - b).norm() > 0.1 * b.norm() for a, b in zip(ours, start, strict=True))


def narrow(kind, loss, **change):
    """A kind for lower precisions: the encoder under SGD.

    Its key biases have no gradient but rounding (a softmax over keys does not see them), which Adam
    would divide by its own size.
    """
    if kind.startswith("transformer"):
        change |= dict(optimizer="SGD", lr=0.1, adam_epsilon=RunConfig(lr=1).adam_epsilon)
    return settings(kind, loss, **change)


@kinds
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_and_100_updates_in_float32_are_the_plain_ones_to_rounding(kind, loss):
    config = narrow(kind, loss)
    assert_near(after(Session, config, 1)[1], after(PlainRun, config, 1)[1], 1e-5)
    assert_near(after(Session, config, 100)[0], after(PlainRun, config, 100)[0], 1e-3)


@pytest.mark.parametrize(("bits", "gradient", "weights"), [(16, 2e-3, 5e-2), (32, 1e-5, 1e-3)])
@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_updates_with_a_narrow_softmax_are_the_plain_ones_to_its_rounding(
    kind, bits, gradient, weights
):
    own = {"half_softmax": "cpu"} if bits == 16 else {}  # as torch has it on a CPU
    config = narrow(kind, "softmax", softmax_precision=bits, **own)
    assert_near(after(Session, config, 1)[1], after(PlainRun, config, 1)[1], gradient)
    assert_near(after(Session, config, 100)[0], after(PlainRun, config, 100)[0], weights)


@pytest.mark.parametrize(
    ("change", "added"),
    [
        (dict(alpha=3.0), lambda z, y, f: f(3 * z, y)),
        (dict(logit_norm_penalty=0.3), lambda z, y, f: f(z, y) + 0.3 * z.square().sum(1).mean()),
        (
            dict(alpha=3.0, logit_norm_penalty=0.3),
            lambda z, y, f: f(3 * z, y) + 0.3 * z.square().sum(1).mean(),
        ),
    ],
    ids=["alpha", "logit_norm_penalty", "both"],
)
def test_what_is_added_to_the_loss_reaches_the_gradient(change, added):
    config = settings("mlp", "stablemax", train_precision=64, **change)
    ours, plain = Session(config), PlainRun(config)
    ours.update()
    x, y = plain.sets[0]
    expected = torch.autograd.grad(
        added(plain.model(x), y, plain.loss), list(plain.model.parameters())
    )
    assert_near([w.grad for w in ours.weights], expected, 1e-11)


def test_a_batch_in_one_piece_and_in_chunks_has_the_same_gradient(monkeypatch):
    config = settings("mlp with bias", "stablemax", train_precision=64)
    pieces = after(Session, config, 1)[1]
    monkeypatch.setattr(layers, "NETWORK_CHUNK", 2**30)
    assert_near(pieces, after(Session, config, 1)[1], 1e-12)


def test_subnormal_numbers_are_zero_in_the_pass_and_nowhere_else():
    run, seen = Session(settings("mlp", "softmax")), []

    def subnormal():
        return (torch.tensor([1e-30]) * 1e-10).item()

    given = run._logit_gradient
    run._logit_gradient = lambda *a: seen.append(subnormal()) or given(*a)
    stepped = run.optimizer.step
    run.optimizer.step = lambda: seen.append(subnormal()) or stepped()
    run.update()
    *in_the_pass, in_the_step, after = *seen, subnormal()
    assert set(in_the_pass) == {0.0} and in_the_step == after > 0


def test_an_update_can_be_repeated_bit_for_bit():
    for kind in KINDS:
        config = settings(kind, "stablemax")
        first, again = after(Session, config, 5)[0], after(Session, config, 5)[0]
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), kind


# --------------------------------------------------------- nothing waits for the device

WAITING_METHODS = (
    "item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__",
    "__repr__", "__format__", "__array__",
)  # fmt: skip
WAITING_OPERATIONS = (
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2",
)  # fmt: skip


class Waited(Exception):
    """A call that would make the host wait for the device."""


class NoWaitingMethods(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in WAITING_METHODS:
            raise Waited(function.__name__)
        return function(*args, **(kwargs or {}))


class NoWaitingOperations(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITING_OPERATIONS:
            raise Waited(name)
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        if any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
            raise Waited(f"{name} with a mask")
        return function(*args, **(kwargs or {}))


def refuse_to_print(*_, **__):
    raise Waited("print")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.numpy(),
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        lambda x: bool(x[0] > 0),
        lambda x: [] if x[0] > 0 else [1],
        lambda x: f"{x[0]}",
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.where(x > 0),
        lambda x: torch.equal(x, x),
        lambda x: x.masked_select(x > 0),
        lambda x: x.__setitem__(x > 0, torch.zeros(2)),
    ],
)
def test_the_guard_sees_each_way_of_waiting(call):
    x = torch.tensor([1.0, 2.0])
    with pytest.raises(Waited), NoWaitingMethods(), NoWaitingOperations():
        call(x)


CHANGES = {
    "decay": dict(weight_decay=0.1, weight_decay_to="init", decay_all=False),
    "schedule": dict(orthogonal_gradients=True, use_lr_scheduler=True),
    "16 bits": dict(softmax_precision=16),
    "penalties": dict(regularization="l1", logit_norm_penalty=0.1),
    "ema": dict(gradient_filter="ema", clip_norm=0.5),
    "ma": dict(gradient_filter="ma", filter_window=3, orthogonal_gradients=True),
    "Muon": dict(optimizer="Muon", weight_decay=0.1, lr_schedule="cosine"),
    "Muon, schedule": dict(optimizer="Muon", use_lr_scheduler=True, gradient_filter="ema"),
    "noise": dict(weight_noise=0.1, update_noise=0.1, clip_norm=0.5, lr_schedule="cosine"),
}
WAITING = [(kind, "stablemax", {}) for kind in KINDS]
WAITING += [("mlp", loss, {"alpha": alpha}) for loss in ALL_LOSSES for alpha in (1.0, 2.0)]
WAITING += [(kind, "softmax", c) for c in CHANGES.values() for kind in ("mlp", "transformer")]
WAITING += [("transformer", "softmax", dict(dropout=0.1, embedding_noise=0.1))]


@pytest.mark.parametrize(("kind", "loss", "change"), WAITING, ids=str)
def test_no_update_waits_for_the_device(kind, loss, change, monkeypatch):
    update_without_waiting(settings(kind, loss, **change), monkeypatch)


def update_without_waiting(config, monkeypatch):
    """Six updates in the form of other devices; on a CPU itself there is nothing to wait for."""
    as_on_a_gpu(monkeypatch)
    ours = Session(config)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "print", refuse_to_print)
        with NoWaitingMethods(), NoWaitingOperations():
            for _ in range(6):  # a whole epoch of mini-batches and the draw of the next
                ours.update()


OTHER_NETWORKS = {
    "lstm": dict(modulo=13, network="lstm", model_dim=16, lstm_dim=12, num_layers=2),
    "embedding_mlp": MLP | dict(network="embedding_mlp", model_dim=16, positions="learned",
                                final_norm=True),
}  # fmt: skip


@pytest.mark.parametrize("network", OTHER_NETWORKS)
def test_no_update_of_the_other_networks_waits_for_the_device(network, monkeypatch):
    config = RunConfig(**BASE | ADAM | BATCHES | OTHER_NETWORKS[network])
    update_without_waiting(config, monkeypatch)


@pytest.mark.parametrize("order", datasets.ORDERS)
def test_drawing_batches_and_turning_images_wait_for_nothing(order, monkeypatch):
    images = dict(dataset="mnist", mnist_images="digits", rotation=30.0, blur=1.0, label_noise=3)
    batches = dict(train_samples=84, full_batch=False, batch_size=25, batch_order=order)
    config = RunConfig(lr=0.01, hidden_sizes=(16,), **images, **batches)
    update_without_waiting(config, monkeypatch)


@kinds
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_the_form_of_a_gpu_gives_the_same_update(kind, loss, monkeypatch):
    made, orthogonal = (narrow, True) if loss == "stablemax" else (settings, False)
    config = made(kind, loss, train_precision=64, orthogonal_gradients=orthogonal)
    written = after(Session, config, 20)
    as_on_a_gpu(monkeypatch)
    assert_near(after(Session, config, 20)[0], written[0], 1e-10)


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
def test_the_form_of_a_gpu_gives_the_bits_of_a_logit_gradient(
    bits, smoothing, weights, monkeypatch
):
    logits = 20 * torch.randn(200, 13, dtype=weights, generator=torch.Generator().manual_seed(bits))
    for loss in (stablemax.softmax_cross_entropy, stablemax.stablemax_cross_entropy):
        options = dict(precision=datasets.DTYPES[bits], label_smoothing=smoothing, examples=333)
        both = []
        for form in (lambda rows: True, lambda rows: False):
            monkeypatch.setattr(stablemax, "_goes_by_parts", form)
            targets = torch.arange(200) % 13
            both.append(stablemax.cross_entropy_gradient(loss, logits, targets, **options))
        assert torch.equal(*both) and both[0].count_nonzero()


def test_rows_too_many_to_be_held_stay_positions(monkeypatch):
    as_on_a_gpu(monkeypatch)
    config = settings("mlp", "softmax")
    dense = Session(config).data.train_inputs
    monkeypatch.setattr(datasets, "MOST_DENSE", 13 * 13 * 26 - 1)
    positions = Session(config).data.train_inputs
    assert torch.equal(dense, torch.nn.functional.one_hot(positions, 26).sum(1).float())


# ---------------------------------------------------------- operations of an update on a GPU


class Operations(TorchDispatchMode):
    """The operations that make a tensor or change one: on a GPU a kernel each, or more.

    Views are none; memory that is only allocated counts, too.
    """

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returns = function._schema.returns
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        makes = any("Tensor" in str(r.type) for r in returns)
        name = function.overloadpacket.__name__
        if function.namespace == "aten" and makes and not view and name != "_unsafe_view":
            self.names.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("run", "most"),
    [
        ("add_stablemax", 42),
        ("add_softmax32_40", 18),
        ("add_softmax16_40", 20),
        ("add_orthoadamw", 41),
        ("add_orthosgd", 70),
        ("add_transformer_adamw", 92),
        ("add_transformer_orthoadamw", 115),
    ],
)
def test_an_update_on_a_gpu_is_few_operations_none_of_which_waits(run, most, monkeypatch):
    as_on_a_gpu(monkeypatch)
    monkeypatch.setattr(stablemax, "_widens_by_itself", lambda rows: True)  # CUDA's 16-bit kernels
    ours = Session(replace(PAPER_RUNS[run].config, modulo=13))
    ours.batches.ahead = 8  # orders are drawn ahead: that is not of an update
    for _ in range(2):
        ours.update()
    with NoWaitingMethods(), NoWaitingOperations(), Operations() as operations:
        ours.update()
    assert len(operations.names) <= most, operations.names


# ------------------------------------------------------------------------------- graphs


class Recorded(TorchDispatchMode):
    """Operations as a CUDA graph has them: with the numbers and the tensors of their capture.

    `replay` makes them again and puts each result where the first one is.
    """

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, results))
        return results

    def replay(self):
        with torch.no_grad():
            for function, args, kwargs, results in self.calls:
                returns = function._schema.returns
                again = function(*args, **kwargs)
                if all(r.alias_info is None for r in returns):
                    for new, kept in zip(tree_leaves(again), tree_leaves(results), strict=True):
                        if isinstance(kept, torch.Tensor):
                            kept.copy_(new)


def record(optimizer, work):
    """As graphs.capture, which makes no update and draws no number: both are undone."""
    owned = [*(p for g in optimizer.param_groups for p in g["params"])]
    owned += [t for state in optimizer.state.values() for t in state.values() if t is not None]
    before, recorded = [t.detach().clone() for t in owned], Recorded()
    with torch.random.fork_rng(devices=[]), recorded:
        work()
    for tensor, value in zip(owned, before, strict=True):
        tensor.detach().copy_(value)
    return recorded.replay


GRAPHED = [(kind, {}) for kind in KINDS]
GRAPHED += [("mlp, mini-batches", change) for change in CHANGES.values()]
GRAPHED += [("mlp", dict(induce_collapse_epoch=8)), ("transformer", dict(dropout=0.2))]
GRAPHED += [("mlp, mini-batches", dict(lr_schedule="cosine", clip_norm=0.5, num_epochs=6))]


@pytest.mark.parametrize(("kind", "change"), GRAPHED, ids=str)
def test_replayed_updates_equal_eager_ones(kind, change, monkeypatch):
    as_on_a_gpu(monkeypatch)
    config = settings(kind, "softmax", **dict(train_precision=64) | change)
    eager, replays = after(Session, config, 20), []

    def counted(optimizer, work):
        replay = record(optimizer, work)
        return lambda: replays.append(work) or replay()

    monkeypatch.setattr(graphs, "check", lambda *_: None)
    monkeypatch.setattr(graphs, "capture", counted)
    monkeypatch.setattr(graphs, "side_stream", nullcontext)
    graphed = after(partial(Session, graphed=True), config, 20)
    assert_near(graphed[0], eager[0], 1e-12)
    kinds = 2 if "mini-batches" in kind or "(" in kind or "induce_collapse_epoch" in change else 1
    assert len(set(replays)) == kinds and len(replays) == 20 - graphs.WARM_UP * kinds


@pytest.mark.parametrize("kind", ["mlp", "mlp, orthogonal SGD"])
def test_optimizer_is_capturable_while_it_is_captured_and_no_longer(kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay="replay"))
    monkeypatch.setattr(torch.cuda, "graph", nullcontext)
    optimizer, seen = Session(settings(kind, "softmax")).optimizer, []
    (group,) = optimizer.param_groups
    before = group.get("capturable")  # SGD has no such flag
    work = lambda: seen.append(group.get("capturable"))  # noqa: E731
    assert graphs.capture(optimizer, work) == "replay"
    assert seen == [None if before is None else True] and group.get("capturable") is before


def test_a_schedule_begun_graphed_goes_on_eager_and_the_other_way_round(monkeypatch):
    monkeypatch.setattr(graphs, "check", lambda *_: None)
    monkeypatch.setattr(graphs, "capture", record)
    monkeypatch.setattr(graphs, "side_stream", nullcontext)
    as_on_a_gpu(monkeypatch)
    config = settings("mlp", "softmax", train_precision=64, lr_schedule="cosine", num_epochs=20)
    expected = after(Session, config, 14)[0]
    for first, second in ((True, False), (False, True)):
        begun, going_on = Session(config, graphed=first), Session(config, graphed=second)
        for _ in range(7):
            begun.update()
        going_on.restore(copy.deepcopy(begun.state(7, 0.0)))
        for _ in range(7):
            going_on.update()
        assert_near([w.detach() for w in going_on.weights], expected, 1e-12)


@pytest.mark.parametrize(
    ("options", "network", "own", "words"),
    [
        (dict(device="cpu"), MLP, {}, "leave it out with --device cpu"),
        (dict(device="cuda:0", compile=True), MLP, {}, "give one of them"),
        (dict(device="cuda:0"), OTHER_NETWORKS["lstm"], {}, "network 'lstm'"),
        (dict(device="cuda:0"), MLP, {"loss mine": "0123"}, "loss mine"),
    ],
    ids=str,
)
def test_what_is_not_captured_is_refused_in_one_line(options, network, own, words, monkeypatch):
    monkeypatch.setattr(graphs, "definitions", lambda config: own)
    with pytest.raises(ValueError, match=words) as error:
        Session(RunConfig(**BASE | network), graphed=True, **options)
    assert "\n" not in str(error.value)


def test_an_update_that_cannot_be_captured_says_how_to_train_without(monkeypatch):
    def fails():
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", lambda _: nullcontext())
    with pytest.raises(RuntimeError) as error:
        graphs.capture(torch.optim.SGD([torch.zeros(1, requires_grad=True)]), fails)
    assert "--no-graphed" in error.value.__notes__[0]


# ------------------------------------------------------------------------------- compiled


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["mlp", "mlp, mini-batches", "transformer"])
def test_compiled_updates_equal_eager_ones(kind, loss, monkeypatch):
    torch._dynamo.reset()
    plain_compile, traced = torch.compile, []

    def tracing_compile(function, **options):
        traced.append(options)
        return plain_compile(function, backend="aot_eager", fullgraph=True, **options)

    config = settings(kind, loss, train_precision=64, use_lr_scheduler=True)
    eager = after(Session, config, 20)[0]
    monkeypatch.setattr(torch, "compile", tracing_compile)
    assert_near(after(partial(Session, compile=True), config, 20)[0], eager, 1e-10)
    assert len(traced) == 1


@pytest.mark.parametrize("network", OTHER_NETWORKS)
def test_compiled_updates_of_the_other_networks_equal_eager_ones(network, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    config = RunConfig(**BASE | ADAM | BATCHES | OTHER_NETWORKS[network] | dict(train_precision=64))
    eager = after(Session, config, 20)[0]
    assert_near(after(partial(Session, compile=True), config, 20)[0], eager, 1e-10)


def test_what_acts_beside_the_optimizer_is_the_same_around_a_compiled_pass(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    change = dict(weight_noise=0.1, update_noise=0.1, clip_norm=0.5, lr_schedule="cosine",
                  weight_decay=0.3, weight_decay_to="init", train_precision=64)  # fmt: skip
    config = settings("mlp", "softmax", **change)
    eager = after(Session, config, 20)[0]
    assert_near(after(partial(Session, compile=True), config, 20)[0], eager, 1e-10)


@pytest.mark.parametrize(
    ("change", "graphs"),
    [
        (dict(softmax_precision=16), 1),
        (dict(alpha=2.0), 1),
        (dict(logit_norm_penalty=0.1), 1),
        (dict(loss_function="taylor"), 1),
        (dict(loss_function="sparsemax"), 1),
        (dict(softmax_temperature=2.0), 1),
        (dict(induce_collapse_epoch=5), 2),
    ],
    ids=str,
)
def test_a_compiled_update_is_one_graph_and_rounds_where_the_eager_one_does(
    change, graphs, monkeypatch
):
    torch._dynamo.reset()
    counters.clear()
    whole = partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", whole)
    config = settings("mlp", "softmax", **change)
    eager = after(Session, config, 20)[0]
    assert_near(after(partial(Session, compile=True), config, 20)[0], eager, 1e-4)
    assert counters["stats"]["unique_graphs"] == graphs


@pytest.mark.parametrize("change", [dict(alpha=2.0), dict(half_softmax="cpu")], ids=str)
def test_a_16_bit_loss_that_cannot_be_compiled_whole_is_refused_in_one_line(change):
    with pytest.raises(ValueError, match="16-bit loss.*leave --compile out") as error:
        Session(settings("mlp", "softmax", softmax_precision=16, **change), compile=True)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_updates_compiled_to_machine_code_equal_eager_ones():
    torch._dynamo.reset()
    config = settings("mlp", "stablemax", train_precision=64)
    eager = after(Session, config, 20)[0]
    assert_near(after(partial(Session, compile=True), config, 20)[0], eager, 1e-10)


def test_a_missing_compiler_is_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for device, variable, name in (("cpu", "CXX", "g++"), ("cuda:0", "CC", "gcc")):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(ValueError) as error:
            session.Compiled(None, device)
        message = str(error.value)
        assert name in message and "leave --compile out" in message and "\n" not in message
        monkeypatch.setenv(variable, shutil.which("true", path="/bin:/usr/bin"))
        session.check_compiler(device)  # a compiler that the variable names is taken
    with pytest.raises(ValueError, match="leave it out with --device mps"):
        session.check_compiler("mps")


# ------------------------------------------------------------------------------ benchmark


def test_every_run_of_the_paper_is_of_one_kind_with_a_name_of_its_own():
    found, left_out = step_time.kinds()
    names = [name for _, runs in found for name in runs] + left_out
    assert sorted(names) == sorted(PAPER_RUNS)
    kinds = {step_time.kind_name(config) for config, _ in found} | step_time.DECODERS.keys()
    assert len(kinds) == len(found) + len(step_time.DECODERS)


@pytest.mark.parametrize("kind", ["mlp", "mlp, orthogonal SGD", "mlp, mini-batches"])
def test_the_plain_step_with_a_bag_is_the_plain_step(kind):
    config = settings(kind, "softmax", train_precision=64)
    (first, *rest), _ = after(partial(PlainRun, bag=True), config, 50)
    assert_near([first.t(), *rest], after(PlainRun, config, 50)[0], 1e-10)
    inputs = Session(config).data.train_inputs
    assert step_time.has_bag(config, inputs)
    assert not step_time.has_bag(settings("mlp with bias", "softmax"), inputs)
    assert not step_time.has_bag(settings("transformer", "softmax"), inputs)


def test_every_form_that_the_gpu_benchmark_times_is_the_same_update(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(gpu, "Session", lambda *a, **o: made.append(Session(*a, **o)) or made[-1])
    monkeypatch.setattr(gpu, "PlainRun", lambda *a, **o: made.append(PlainRun(*a, **o)) or made[-1])
    config, made = settings("mlp", "softmax", train_precision=64), []
    took = gpu.measure(config, "cpu", repetitions=1, steps=2)
    assert set(took) == set(gpu.FORMS) - {"graphed"} and all(ms > 0 for ms, _ in took.values())
    eager, *others = ([w.detach() for w in run.model.parameters()] for run in made[:3])
    assert len(made) == 3 + gpu.STACK  # the stacks' runs are test_stacked.py's
    more, _ = after(Session, config, 5)  # the eager one has shown its products in one more
    assert_near(eager, more, 1e-12)
    for weights in others:
        assert_near(weights, after(Session, config, 4)[0], 1e-9)


def test_the_gpu_benchmark_answers_in_one_line_where_there_is_none(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_the_floor_is_the_products_of_an_update():
    ours, products = Session(settings("mlp", "stablemax")), step_time.Products()
    with products:
        ours.update()
    flops = sum(2 * a.numel() * b.shape[1] for a, b, _ in products.calls)
    n, (h1, h2), classes = 84, (24, 17), 13
    assert flops == 3 * 2 * n * h2 * (h1 + classes)  # forward, both gradients; none in layer 0
    products.repeat()
