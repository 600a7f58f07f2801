"""Each field of a configuration reaches the object that it names, and acts there."""

import copy
import math
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

import stablemax
from configuration.config import RunConfig
from models import MLP, Transformer
from optimizers import OrthoGrad
from training import builders
from training.networks import LSTM, EmbeddingMLP
from training.session import Session

RUN = RunConfig(lr=0.01, modulo=11, train_fraction=0.5, hidden_sizes=(12,), num_epochs=50)
ENCODER = RunConfig(
    lr=0.01, modulo=11, train_fraction=0.5, use_transformer=True, dropout=0.0, model_dim=16,
    ff_dim=24,
)  # fmt: skip
DECODER = RunConfig(
    lr=0.001, dataset="tokens", network="transformer", modulo=11, num_layers=2, model_dim=16,
    num_heads=2, ff_dim=24, dropout=0.2, causal=True, positions="learned",
)  # fmt: skip
LSTM_RUN = RunConfig(
    lr=0.001, dataset="tokens", network="lstm", modulo=11, model_dim=16, lstm_dim=20
)  # fmt: skip
MLP_RUN = replace(
    LSTM_RUN, network="embedding_mlp", lstm_dim=128, hidden_sizes=(30, 20), positions="learned"
)


def model(base, **change):
    return builders.make_model(replace(base, **change), 13, 11)


def tables(net):
    return [m.num_embeddings for m in net.modules() if isinstance(m, nn.Embedding)]


def linear(net):
    return [m for m in net.modules() if isinstance(m, nn.Linear)]


# field of the group "model" -> (base, value, what it is in the network made with that value)
MODEL = {
    "hidden_sizes": (RUN, (8, 9), lambda m: tuple(x.out_features for x in linear(m)[:-1])),
    "bias": (DECODER, False, lambda m: any(x.bias is not None for x in linear(m))),
    "use_transformer": (replace(RUN, hidden_sizes=(200, 200)), True,
                        lambda m: isinstance(m, Transformer)),
    "network": (RUN, "embedding_mlp", lambda m: {EmbeddingMLP: "embedding_mlp"}.get(type(m))),
    "num_layers": (DECODER, 3, lambda m: len(m.layers)),
    "model_dim": (DECODER, 32, lambda m: m.embedding.embedding_dim),
    "lstm_dim": (LSTM_RUN, 24, lambda m: m.lstm.hidden_size),
    "num_heads": (DECODER, 4, lambda m: m.layers[1].num_heads),
    "ff_dim": (DECODER, 33, lambda m: m.layers[1].linear1.out_features),
    "ff_hidden_layers": (DECODER, 2, lambda m: 1 + len(m.layers[1].inner)),
    "dropout": (DECODER, 0.4, lambda m: m.layers[1].rates["ff"]),
    "norm": (DECODER, "pre", lambda m: m.layers[1].norm),
    "final_norm": (DECODER, True, lambda m: isinstance(m.norm, nn.LayerNorm)),
    "activation": (DECODER, "gelu", lambda m: m.layers[1].activation),
    "positions": (DECODER, "sinusoidal", lambda m: m.positions),
    "causal": (DECODER, False, lambda m: m.causal),
    "tied_head": (DECODER, True, lambda m: m.head is None),
    "embedding_noise": (DECODER, 0.25, lambda m: m.embedding_noise),
}  # fmt: skip
ACTING = {"init_scale", "dropout_at", "scale_embedding", "weight_noise"}  # tested below
# field of the group "optimizer" -> (changes beside it, value, what it is in the Session)
OPTIMIZER = {
    "optimizer": ({}, "Adam", lambda s: type(s.optimizer).__name__),
    "lr": ({}, 0.25, lambda s: s.optimizer.param_groups[0]["lr"]),
    "weight_decay": ({}, 0.5, lambda s: s.optimizer.param_groups[0]["weight_decay"]),
    "weight_decay_to": ({"weight_decay": 0.5}, "init", lambda s: "init" if s.decay else "zero"),
    "decay_all": ({"weight_decay": 0.5, "bias": True}, False, lambda s: all(
        g["weight_decay"] > 0 for g in s.optimizer.param_groups)),
    "beta1": ({}, 0.7, lambda s: s.optimizer.param_groups[0]["betas"][0]),
    "beta2": ({}, 0.8, lambda s: s.optimizer.param_groups[0]["betas"][1]),
    "adam_epsilon": ({}, 1e-3, lambda s: s.optimizer.param_groups[0]["eps"]),
    "momentum": ({"optimizer": "SGD"}, 0.6, lambda s: s.optimizer.param_groups[0]["momentum"]),
    "orthogonal_gradients": ({}, True, lambda s: isinstance(s.optimizer, OrthoGrad)),
    "restore_gradient_norm": ({"orthogonal_gradients": True}, False,
                              lambda s: s.optimizer.restore_norm),
    "use_lr_scheduler": ({}, True, lambda s: s.schedule is not None),
    "lr_scheduler_norm": ({"use_lr_scheduler": True}, 1, lambda s: s.schedule.order),
    "lr_schedule": ({}, "cosine", lambda s: s.lr_schedule.kind),
    "warmup_steps": ({}, 7, lambda s: s.lr_schedule.choices["warmup_steps"]),
    "warmup_start": ({"warmup_steps": 7}, 0.5, lambda s: s.lr_schedule.factor(0)),
    "schedule_steps": ({"lr_schedule": "linear"}, 20, lambda s: s.lr_schedule.choices["end"]),
    "final_lr": ({"lr_schedule": "linear"}, 0.125, lambda s: s.lr_schedule.factor(10**9)),
    "gradient_filter": ({}, "ema", lambda s: s.filter.kind),
    "filter_strength": ({"gradient_filter": "ema"}, 5.0, lambda s: s.filter.strength),
    "filter_decay": ({"gradient_filter": "ema"}, 0.9, lambda s: s.filter.decay),
    "filter_window": ({"gradient_filter": "ma"}, 50, lambda s: s.filter.window),
}  # fmt: skip
ACTING_ON_UPDATES = {"clip_norm", "update_noise"}  # tested below


def test_half_softmax_is_the_arithmetic_of_the_loss_and_of_its_gradient():
    half, seen = replace(RUN, softmax_precision=16), {}
    logits, targets = -13.0 * torch.ones(4, 11), torch.arange(4)
    logits[targets, targets] = 0.0
    for arithmetic in ("cuda", "cpu"):
        session = Session(replace(half, half_softmax=arithmetic))
        gradient = session._logit_gradient(targets, logits, slice(0, 4))
        seen[arithmetic] = session.loss(logits, targets).item(), gradient[0, 0].item()
    assert seen["cpu"] == (0, 0)
    ours = stablemax.softmax_cross_entropy(logits, targets, precision=torch.float16)
    assert seen["cuda"][0] == ours.item() > 0 > seen["cuda"][1]


def test_arithmetic_of_a_cpu_is_refused_on_another_device():
    with pytest.raises(ValueError, match="half_softmax 'cpu' on device cuda:0: use --device cpu"):
        Session(replace(RUN, softmax_precision=16, half_softmax="cpu"), "cuda:0")


class Gaps(nn.Module):
    """Gaps 5, 10, 30 and 50 in turn, one competitor: the sum is 1 from 7.6, 16.6 and 36.7 on."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x):
        logits = torch.full((len(x), 11), -1000.0)
        logits[:, 0] = torch.tensor([5.0, 10.0, 30.0, 50.0]).repeat(len(x))[: len(x)]
        logits[:, 1] = 0.0
        return logits * self.w


@pytest.mark.parametrize("loss", ["cross_entropy", "stablemax"])
@pytest.mark.parametrize(("bits", "collapsed"), [(16, 3 / 4), (32, 2 / 4), (64, 1 / 4)])
def test_a_row_counts_collapse_in_the_precision_of_the_softmax(bits, collapsed, loss):
    session = Session(replace(RUN, softmax_precision=bits, loss_function=loss))
    assert len(session.data.train_targets) % 4 == 0
    session.model = Gaps()
    session.data = replace(session.data, train_targets=session.data.train_targets * 0)
    row = session.row(0)
    assert row["softmax_collapse"] == row["softmax_collapse_label"] == collapsed
    if loss == "stablemax":  # s(-1000) is no 0
        assert row["zero_terms"] == 0
    elif bits > 16:  # at 16 bits the loss alone is rounded, and e^-10 is no 0
        assert row["zero_terms"] == collapsed  # e^-30 at 64 bits is no 0


def group(name):
    return {f.name for f in fields(RunConfig) if f.metadata["group"] == name}


def test_every_field_of_model_and_optimizer_has_its_test():
    assert MODEL.keys() | ACTING == group("model")
    assert OPTIMIZER.keys() | ACTING_ON_UPDATES == group("optimizer")


@pytest.mark.parametrize("field", MODEL)
def test_field_reaches_the_network(field):
    base, value, found = MODEL[field]
    assert found(model(base, **{field: value})) == value
    assert not _is(found, model(base), value)  # the value is not what it is anyway


def _is(found, other, value):
    try:
        return found(other) == value
    except AttributeError:  # another network has no such part
        return False


@pytest.mark.parametrize("field", OPTIMIZER)
def test_field_reaches_the_optimizer_or_what_acts_beside_it(field):
    beside, value, found = OPTIMIZER[field]
    assert found(Session(replace(RUN, **beside | {field: value}))) == value
    assert not _is(found, Session(replace(RUN, **beside)), value)


def test_fields_shared_by_the_networks_reach_each():
    lstm = model(LSTM_RUN, num_layers=3, bias=False)
    assert isinstance(lstm, LSTM) and lstm.lstm.num_layers == 3
    assert lstm.lstm.input_size == lstm.embedding.embedding_dim == 16
    assert not lstm.lstm.bias and lstm.head.bias is None and lstm.head.out_features == 11
    mlp = model(MLP_RUN, final_norm=True, bias=False)
    assert [x.out_features for x in linear(mlp)] == [30, 20, 11]
    assert mlp.positions == "learned" and isinstance(mlp.norm, nn.LayerNorm)
    assert all(x.bias is None for x in linear(mlp))
    assert isinstance(model(RUN), MLP)


@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        ({}, 4),
        ({"terms": 3}, 6),
        ({"leading_eos": True}, 5),
        ({"terms": 4, "leading_eos": True}, 9),
    ],
)
def test_a_row_of_tokens_has_as_many_positions_as_the_task(change, tokens):
    for base in (DECODER, MLP_RUN):
        net = model(base, **change)
        assert tables(net) == [13, tokens]
        assert net(torch.zeros(2, tokens).long()).shape == (2, 11)
    assert model(DECODER, dataset="add_mod").max_tokens == 2


PLACES = {
    "encoder": {"attention", "attention_output", "ff", "ff_output"},
    "ff_output": {"ff_output"},
    "all": {"attention", "attention_output", "ff", "ff_output", "embedding"},
}


@pytest.mark.parametrize("where", PLACES)
def test_dropout_acts_where_it_is_said_to(where):
    net = model(DECODER, dropout_at=where)
    places = PLACES[where]
    assert net.layers[0].rates == {p: 0.2 * (p in places) for p in PLACES["all"]}
    assert net.embedding_dropout == 0.2 * ("embedding" in places)


def test_scaled_embedding_is_the_token_table_times_the_root_of_the_width():
    net = model(DECODER, scale_embedding=True, dropout=0.0)
    seen = []
    net.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    tokens = torch.tensor([[3, 1, 4, 1]])
    net(tokens)
    torch.testing.assert_close(seen[0], 4 * net.embedding(tokens) + net.position.weight)


# ------------------------------------------------------- what acts on updates, in a whole run


def updates(config, count=1, **options):
    run = Session(config, **options)
    for _ in range(count):
        run.update()
    return run


def moved(config, count=1):
    """Change of all weights by `count` updates, in one vector."""
    start, run = Session(config), updates(config, count)
    return torch.cat([(a - b).detach().flatten() for a, b in zip(run.weights, start.weights,
                                                                 strict=True)])  # fmt: skip


def test_dropout_acts_in_every_update_also_after_a_row():
    def gradients(p):
        run, found = Session(replace(ENCODER, dropout=p, lr=1e-30)), []
        for step in range(2):
            run.update()
            found.append(torch.cat([w.grad.flatten() for w in run.weights]))
            run.row(step)
        return found

    for still, dropped in zip(gradients(0.0), gradients(0.5), strict=True):
        assert (still - dropped).norm() > 0.1 * still.norm()


def test_clipping_bounds_an_sgd_step_and_comes_before_the_projection():
    sgd = replace(RUN, optimizer="SGD", momentum=0.0, lr=0.5)
    long = moved(sgd).norm()
    for change in ({}, {"orthogonal_gradients": True}):
        clipped = moved(replace(sgd, clip_norm=float(long) / 10, **change))  # ||g|| is 2 ||step||
        assert clipped.norm() == pytest.approx(float(long) / 20, rel=1e-4)
    assert torch.equal(moved(replace(sgd, clip_norm=1e6)), moved(sgd))


def test_update_noise_is_added_to_an_update_and_scaled_by_the_rate_of_the_schedule():
    base = replace(RUN, hidden_sizes=(300,), warmup_steps=2, warmup_start=0.5, lr=0.02)
    noise = moved(replace(base, update_noise=3.0)) - moved(base)
    n = len(noise)
    assert abs(noise.std() / (0.02 * 0.5 * 3.0) - 1) < 5 / math.sqrt(2 * n)
    assert abs(noise.mean()) < 5 * 0.03 / math.sqrt(n)


@pytest.mark.parametrize("base", [RUN, ENCODER], ids=["mlp", "transformer"])
def test_weight_noise_changes_gradients_and_leaves_the_weights(base):
    still = replace(base, optimizer="SGD", lr=1e-30)  # nothing moves but by noise
    assert moved(replace(still, weight_noise=0.5), 3).abs().max() < 1e-26
    grads = [updates(replace(base, weight_noise=s)).weights[0].grad for s in (0.0, 1e-7, 0.5)]
    assert (grads[0] - grads[1]).norm() < 1e-4 * grads[0].norm()
    assert (grads[0] - grads[2]).norm() > 0.1 * grads[0].norm()


def test_decay_to_the_start_holds_weights_near_it():
    base = replace(RUN, weight_decay=20.0, lr=0.01, adam_epsilon=1e-8)
    held = moved(replace(base, weight_decay_to="init"), 50).norm()
    free = moved(replace(base, weight_decay=0.0), 50).norm()
    start = torch.cat([w.detach().flatten() for w in Session(base).weights]).norm()
    towards_zero = moved(base, 50).norm()
    assert held < 0.4 * free and towards_zero > 0.5 * start


def test_schedule_follows_the_updates_and_ends_with_the_budget():
    run = Session(replace(RUN, lr_schedule="linear", warmup_steps=4, num_epochs=20))
    seen = []
    for _ in range(20):
        run.update()
        seen.append(run.optimizer.param_groups[0]["lr"])
    warm = [0.01 * u / 4 for u in range(4)]
    assert seen == pytest.approx(warm + [0.01 * (1 - (u - 4) / 16) for u in range(4, 20)])


def test_learning_rate_of_the_absorption_metrics_is_that_of_the_next_update():
    run = updates(replace(RUN, optimizer="SGD", warmup_steps=8), 3)
    assert run._next_lr([]) == pytest.approx(0.01 * 3 / 8)


EVERYTHING = dict(
    weight_noise=0.01, update_noise=0.1, weight_decay=0.5, weight_decay_to="init", decay_all=False,
    clip_norm=0.5, lr_schedule="cosine", warmup_steps=3, warmup_start=0.1,
)  # fmt: skip


@pytest.mark.parametrize("network", ["mlp", "transformer", "lstm", "embedding_mlp"])
def test_continued_run_is_the_uninterrupted_one_bit_for_bit(network):
    sizes = {} if "mlp" in network else {"hidden_sizes": (200, 200)}
    sizes |= {} if network == "mlp" else {"model_dim": 16}
    config = replace(RUN, network=network, full_batch=False, batch_size=20, **sizes, **EVERYTHING)
    whole = updates(config, 12)
    state = copy.deepcopy(updates(config, 5).state(5, 0, 0.0))
    again = Session(config)
    with torch.no_grad():
        for w in again.weights:  # what it starts from must not matter
            w.add_(1.0)
    again.restore(state)
    for _ in range(7):
        again.update()
    assert all(torch.equal(a, b) for a, b in zip(whole.weights, again.weights, strict=True))


def test_restored_decay_pulls_to_the_first_weights_not_to_those_it_was_built_with():
    config = replace(RUN, weight_decay=0.5, weight_decay_to="init")
    part, again = updates(config, 2), Session(replace(config, seed=7))
    again.restore(part.state(2, 0, 0.0))
    for a, b in zip(again.decay.start[0], Session(config).weights, strict=True):
        assert torch.equal(a, b)


# ------------------------------------------------------------------------------ rows and budget


def test_rows_stand_every_so_many_updates_at_growing_and_at_named_steps():
    config = replace(RUN, full_batch=False, batch_size=20, num_steps=100, num_epochs=1500,
                     log_every=30, log_growth=2.0, log_steps=(5, 97))  # fmt: skip
    run = Session(config)
    assert run.total_steps == 100
    assert [s for s in range(101) if run.is_logged(s)] == [
        0, 1, 2, 4, 5, 8, 16, 30, 32, 60, 64, 90, 97, 100
    ]  # fmt: skip


def test_without_log_every_rows_stand_at_epochs_and_the_budget_is_in_epochs():
    run = Session(replace(RUN, full_batch=False, batch_size=20, num_epochs=7, log_frequency=3))
    assert run.steps_per_epoch == 3 and run.total_steps == 21
    assert [s for s in range(22) if run.is_logged(s)] == [0, 9, 18, 21]


@pytest.mark.parametrize(("value", "ends"), [(0.89, False), (0.9, True), (0.95, True)])
def test_goal_is_reached_at_its_level_and_above(value, ends):
    run = Session(replace(RUN, stop_at="test_accuracy", stop_level=0.9))
    assert run.has_reached_its_goal({"test_accuracy": value, "train_accuracy": 1 - value}) == ends
    assert not Session(RUN).has_reached_its_goal({"test_accuracy": 1.0, "train_accuracy": 1.0})
