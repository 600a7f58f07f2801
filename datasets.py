"""Tasks as exact operations, their train/test split, and the batches of a run.

The random streams are the authors': Python's `random` for the parity bits, torch's default
generator for the split, the initial weights and one permutation per epoch, in this order, so that
seed 42 here is seed 42 there.
"""

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from configuration.config import RunConfig
from tasks import images
from tasks.operations import permutation_result

MOST_DENSE = 2**28  # entries of K-hot rows held on a GPU: 1 GB in float32; addition mod 113 has 3 M
DTYPES = {16: torch.float16, 32: torch.float32, 64: torch.float64}


@dataclass(frozen=True)
class Task:
    """All examples of a task.

    Attributes:
        inputs: (N, K) int64, positions of the ones of a K-hot row, or tokens; or (N, F) float
            features.
        targets: (N,) int64 class of each example, 0 to num_classes - 1.
        num_inputs: width of the input layer, or size of the vocabulary.
        num_classes: C, width of the logits.
        num_results: the targets' number of values, 0 to num_results - 1; C but where the logits
            are over a whole vocabulary.
    """

    inputs: Tensor
    targets: Tensor
    num_inputs: int
    num_classes: int
    num_results: int


@dataclass(frozen=True)
class Split:
    """A task's examples on one device: inputs and targets of the training and the test set."""

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def operand_pairs(config: RunConfig) -> Tensor:
    """(N, 2) int64: every pair (x, y), x varying slowest; without zeros where they are excluded."""
    first = int(config.exclude_zero)
    second = int(config.exclude_zero or config.operation.nonzero)
    return torch.cartesian_prod(
        torch.arange(first, config.operands), torch.arange(second, config.operands)
    )


def modular_task(config: RunConfig) -> Task:
    """x op y mod p over all pairs; two-hot positions for the MLP, two tokens for other networks."""
    pairs = operand_pairs(config)  # (N, 2)
    targets = config.operation.load()(pairs[:, 0], pairs[:, 1], config.modulo)
    if config.network_entry.tokens:
        return Task(pairs, targets, config.operands, config.modulo, config.modulo)
    positions = pairs + torch.tensor([0, config.operands])  # y's one-hot block follows x's
    return Task(positions, targets, 2 * config.operands, config.modulo, config.modulo)


def token_task(config: RunConfig) -> Task:
    """Equations as tokens, `x op y =`, or `x1 + x2 + ... xK =` with K terms; the target follows.

    Tokens: the numbers 0 to n - 1 (operands and results: n is the larger of both counts), or the
    120 permutations in the order of operations.PERMUTATIONS; then the sign of the operation n, the
    equals sign n + 1, and with `leading_eos` the end of a sequence n + 2, which then also opens
    each one. The vocabulary is these tokens or, larger, `vocab_size`.

    All K-tuples are examples, the last operand varying fastest; division leaves y = 0 out, which
    are the pairs (b c, b) of openai/grok. They are held in memory: rules.MOST_EXAMPLES.

    Source: Power et al. (2022) and its four descendants; docs/related.md.
    """
    if config.operation.permutations:
        first = int(config.exclude_identity)  # permutation 0
        operands = torch.cartesian_prod(
            torch.arange(config.operands), torch.arange(first, config.operands)
        )
        targets = permutation_result(config.binary_operation, *operands.unbind(1))
        results = config.operands
    elif config.terms > 2:
        numbers = torch.arange(int(config.exclude_zero), config.operands)
        operands = torch.cartesian_prod(*[numbers] * config.terms)  # (N, K)
        results = config.modulo
        targets = operands.sum(1) % results
    else:
        operands = operand_pairs(config)
        results = config.modulo
        targets = config.operation.load()(*operands.unbind(1), results)
    sign, equals, eos = range(config.numbers, config.numbers + 3)
    start = int(config.leading_eos)
    inputs = torch.full((len(targets), start + 2 * operands.shape[1]), sign)
    inputs[:, start::2] = operands
    inputs[:, -1] = equals
    inputs[:, :start] = eos
    classes = config.vocabulary if config.full_head else results
    return Task(inputs, targets, config.vocabulary, classes, results)


def binary_task(config: RunConfig) -> Task:
    """x op y mod p with each operand written as a binary code, most significant bit first.

    The code of an integer is its binary representation, or with `random_codes` a distinct random
    word of `code_bits` bits.

    Source: paper, Section 4.1 and Figure 4 right; the authors' own form of this task does not run.
    """
    pairs = operand_pairs(config)
    bits = config.code_bits or (config.operands - 1).bit_length()
    words = list(range(config.operands))
    if config.random_codes:
        words = random.Random(config.seed).sample(range(2**bits), config.operands)
    shifts = torch.arange(bits - 1, -1, -1)
    codes = (torch.tensor(words)[:, None] >> shifts) & 1  # (operands, bits)
    inputs = codes[pairs].flatten(1).to(DTYPES[config.train_precision])  # (N, 2 * bits)
    targets = config.operation.load()(pairs[:, 0], pairs[:, 1], config.modulo)
    return Task(inputs, targets, 2 * bits, config.modulo, config.modulo)


def parity_task(config: RunConfig) -> Task:
    """Parity of the first `num_parity_features` bits among as many noise bits, distinct rows.

    Source: paper, Section 4.1; drawn bit by bit as the authors draw it.
    """
    draw = random.Random(config.seed)
    bits = config.num_parity_features + config.num_noise_features
    rows = {}  # a dict keeps the order of first appearance
    while len(rows) < config.num_samples:
        rows[tuple(draw.choice((0, 1)) for _ in range(bits))] = None
    inputs = torch.tensor(list(rows))  # (N, bits)
    targets = inputs[:, : config.num_parity_features].sum(1) % 2
    return Task(inputs.to(DTYPES[config.train_precision]), targets, bits, 2, 2)


def mnist_task(config: RunConfig) -> Task:
    """Handwritten digits, 784 brightnesses from 0 to 1 each, or 64: see images.load.

    The embedded ones stand in the order of their classes; the split's permutation, drawn from the
    run's seed, is what mixes them.

    Raises:
        ValueError: the full set is neither in scikit-learn's cache nor to be had from the network.

    Source: paper, D.2 and Figure 14.
    """
    pixels, digits = images.load(config.mnist_images)
    return Task(pixels.to(DTYPES[config.train_precision]), digits, pixels.shape[1], 10, 10)


TASKS = {
    "add_mod": modular_task,
    "binary_alg": binary_task,
    "sparse_parity": parity_task,
    "mnist": mnist_task,
    "tokens": token_task,
}


def split(task: Task, train_fraction: float, device="cpu", train_samples: int | None = None):
    """Splits as `torch.utils.data.random_split` does: int(fraction * N) examples to train on.

    With `train_samples` it is that many; all others are the test set. Returns a `Split`.
    """
    order = torch.randperm(len(task.targets))
    n_train = int(train_fraction * len(task.targets)) if train_samples is None else train_samples
    parts = []
    for chosen in (order[:n_train], order[n_train:]):
        parts += [task.inputs[chosen].to(device), task.targets[chosen].to(device)]
    return Split(*parts)


def dense(data: Split, width: int, dtype: torch.dtype) -> Split:
    """The split with K-hot rows (N, width) in place of the positions of their ones.

    For a GPU, where a product with such rows is a kernel and the gradient of a sum of columns sorts
    their positions first. Float inputs, and rows of more than MOST_DENSE entries in all, stay.
    """
    sets = (data.train_inputs, data.test_inputs)
    if sets[0].is_floating_point() or sum(map(len, sets)) * width > MOST_DENSE:
        return data
    train, test = (
        x.new_zeros(len(x), width, dtype=dtype).scatter_add_(1, x, x.new_ones(x.shape, dtype=dtype))
        for x in sets
    )
    return replace(data, train_inputs=train, test_inputs=test)


def with_label_noise(data: Split, count: int, num_results: int, seed: int) -> Split:
    """The split with `count` training examples, drawn at random, under a wrong label.

    The label is uniform over the other num_results - 1 results. The draws are the seed's but from a
    stream of their own: split, initial weights and batches are those of the run without noise.

    Source: the `_noisy_N` operators of openai/grok.
    """
    # R15: there the label is the answer of a random example, by chance the right one.
    if not count:
        return data
    draw = random.Random(f"label noise {seed}")
    chosen = torch.tensor(draw.sample(range(len(data.train_targets)), count))
    shifts = torch.tensor([draw.randrange(1, num_results) for _ in range(count)])
    targets = data.train_targets.cpu().clone()
    targets[chosen] = (targets[chosen] + shifts) % num_results
    return replace(data, train_targets=targets.to(data.train_targets.device))


# batch_order -> indices (width,) of an epoch of n examples, cut into batches.
ORDERS = {
    "shuffled": lambda n, width: torch.randperm(n),
    "fixed": lambda n, width: torch.arange(n),  # the order of the split, itself random
    "iid": lambda n, width: torch.randint(n, (width,)),
}


class Batches:
    """Endless batches over a training set.

    "shuffled": one `torch.randperm` per epoch, the last batch short; "fixed": the examples as they
    stand, the same batches in every epoch; "iid": every batch of batch_size independent draws with
    replacement, also where that is more than n. An epoch is ceil(n / batch_size) batches in each.

    Args:
        n: examples.
        batch_size: examples per batch; n for full batch.
        device: where the indices are used.
        ahead: epochs whose indices are drawn and sent at once. More than 1 spares the host
            work per step on a GPU; on the CPU dropout shares the generator, so the order of draws
            matters and it must be 1.
        order: one of ORDERS.
    """

    def __init__(
        self, n: int, batch_size: int, device="cpu", ahead: int = 1, order: str = "shuffled"
    ):
        self.n, self.batch_size, self.device, self.ahead = n, batch_size, device, ahead
        self.order = order
        self.steps_per_epoch = -(-n // batch_size)
        width = self.steps_per_epoch * batch_size if order == "iid" else n
        # (epochs drawn, width)
        self.orders = torch.empty(0, width, dtype=torch.int64, device=device)
        self.taken = 0  # batches taken of these epochs

    def next(self) -> Tensor:
        """(B,) int64 indices of the next batch, on the device."""
        epoch, batch = divmod(self.taken, self.steps_per_epoch)
        if epoch == len(self.orders):
            self.orders = self._draw(self.ahead)
            self.taken, epoch = 0, 0
        self.taken += 1
        return self.orders[epoch, batch * self.batch_size : (batch + 1) * self.batch_size]

    @property
    def held(self) -> int:
        """Epochs whose orders are drawn and not over."""
        return len(self.orders) - self.taken // self.steps_per_epoch

    def prepare(self, epochs: int):
        """Draws until the orders of so many epochs are held, and forgets those that are over."""
        over, self.taken = divmod(self.taken, self.steps_per_epoch)
        self.orders = self.orders[over:]
        if len(self.orders) < epochs:
            self.orders = torch.cat([self.orders, self._draw(epochs - len(self.orders))])

    def _draw(self, epochs):
        draw, width = ORDERS[self.order], self.orders.shape[1]
        drawn = torch.stack([draw(self.n, width) for _ in range(epochs)])
        if self.device.startswith("cuda"):
            drawn = drawn.pin_memory()  # only then does the copy not wait for the device
        return drawn.to(self.device, non_blocking=True)

    def state_dict(self) -> dict:
        return {"orders": self.orders, "taken": self.taken}

    def load_state_dict(self, state: dict):
        self.orders, self.taken = state["orders"].to(self.device), state["taken"]
