"""A run as one would write it from the paper: the measure of `step_time.py` and `throughput.py`.

Dense one-hot rows, `nn.Linear` and `nn.TransformerEncoderLayer` at every position (with learned
positions, causal mask, pre-norm or final norm as a run has them), losses by their formula and
autograd, torch's optimizers as they come. `tests/training/test_step.py` shows that it is
what train.py computes. As a program it trains one declared run, with its evaluations, and writes
nothing:

    python benchmarks/plain.py add_stablemax --steps 100
"""

import argparse
import sys
from pathlib import Path

import entmax
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import paper
from experiment.catalog import runs_of

RUNS = runs_of(paper.FIGURES)


def stablemax_loss(logits, targets):
    s = torch.where(logits < 0, 1 / (1 - logits), logits + 1)  # paper, Definition 4
    own = s.gather(1, targets[:, None])[:, 0]
    return -torch.log(own / s.sum(1)).mean()


def taylor_loss(logits, targets):
    t = 1 + logits + logits.square() / 2
    own = t.gather(1, targets[:, None])[:, 0]
    return -torch.log(own / t.sum(1)).mean()


def squared_error(logits, targets):
    return F.mse_loss(logits, F.one_hot(targets, logits.shape[1]).to(logits.dtype))


def sparsemax_loss(logits, targets):
    return entmax.sparsemax_loss(logits, targets).mean()


LOSSES = {
    "cross_entropy": F.cross_entropy,
    "stablemax": stablemax_loss,
    "taylor": taylor_loss,
    "mse": squared_error,
    "sparsemax": sparsemax_loss,
}


class Encoder(nn.Module):
    """Embedding, torch's encoder layers at every position, and a head that reads the last one."""

    def __init__(self, vocab, classes, config):
        super().__init__()
        c, width, length = config, config.model_dim, config.sequence_length
        self.embedding = nn.Embedding(vocab, width)
        self.scale = width**0.5 if c.scale_embedding else 1.0
        if c.positions == "learned":
            self.position = nn.Embedding(length, width)
        inside = 0.0 if c.dropout_at == "ff_output" else c.dropout
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, c.num_heads, c.ff_dim, inside, c.activation, batch_first=True,
                norm_first=c.norm == "pre",
            )
            for _ in range(c.num_layers)
        )  # fmt: skip
        for layer in self.layers:
            layer.dropout2.p = c.dropout
        self.norm = nn.LayerNorm(width) if c.final_norm else nn.Identity()
        self.head = None if c.tied_head else nn.Linear(width, classes)
        self.classes = classes
        self.dropout = nn.Dropout(c.dropout if c.dropout_at == "all" else 0.0)
        self.mask = None
        if c.causal:
            self.mask = nn.Transformer.generate_square_subsequent_mask(length)

    def forward(self, tokens):
        x = self.embedding(tokens) * self.scale
        if hasattr(self, "position"):
            x = x + self.position.weight
        x = self.dropout(x)
        for layer in self.layers:
            mask = None if self.mask is None else self.mask.to(x)
            x = layer(x, src_mask=mask, is_causal=mask is not None)  # the hint is the faster form
        x = self.norm(x)[:, -1]
        if self.head is None:
            return F.linear(x, self.embedding.weight[: self.classes])
        return self.head(x)


def linear_layers(inputs, classes, config):
    sizes = (inputs, *config.hidden_sizes, classes)
    layers = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out, bias=config.has_bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def project(weight):
    """The gradient without its part along the weight, its norm restored."""
    w, g = weight.detach().flatten(), weight.grad.flatten()
    off = g - (w @ g) / (w @ w) * w
    weight.grad.copy_((off * (g.norm() / off.norm())).view_as(weight))


class PlainRun:
    """One run of a RunConfig, with the random streams that train.py has on the CPU.

    With `bag` an MLP without biases has nn.EmbeddingBag in front, whose rows are the first layer's
    columns, in place of the product with multi-hot rows, and the fused optimizer.
    """

    def __init__(self, config, bag=False, device="cpu"):
        torch.manual_seed(config.seed)
        task = datasets.TASKS[config.dataset](config)
        parts = datasets.split(task, config.train_fraction, device)
        transformer = config.network_kind == "transformer"
        make = Encoder if transformer else linear_layers
        dtype = datasets.DTYPES[config.train_precision]
        self.model = make(task.num_inputs, task.num_classes, config).to(device, dtype)
        if bag:
            rows = self.model[0].weight.detach().t().contiguous()
            self.model[0] = nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="sum")
        self.sets = []
        for x, y in (
            (parts.train_inputs, parts.train_targets),
            (parts.test_inputs, parts.test_targets),
        ):
            if not (x.is_floating_point() or transformer or bag):
                x = F.one_hot(x, task.num_inputs).sum(1).to(dtype)  # (N, inputs), two ones a row
            self.sets.append((x, y))
        self.config = config
        self.precision = datasets.DTYPES[config.loss_precision]
        options = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": bag or None}
        if config.optimizer == "SGD":
            options["momentum"] = config.sgd_momentum
        else:
            options |= {"betas": config.betas, "eps": config.adam_epsilon}
        self.optimizer = getattr(torch.optim, config.optimizer)(self.model.parameters(), **options)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.warm_up)
        self.order = []

    def warm_up(self, step):
        """A linear warm-up, then the full learning rate."""
        start, steps = self.config.warmup_start, self.config.warmup_steps
        return start + (1 - start) * step / steps if step < steps else 1.0

    def loss(self, logits, targets):
        return LOSSES[self.config.loss_function](logits.to(self.precision), targets)

    def update(self):
        """One step; a full batch is taken as it lies, mini-batches in a new order every epoch."""
        x, y = self.sets[0]
        if not self.config.full_batch:
            if not self.order:
                self.order = list(torch.randperm(len(y)).to(y.device).split(self.config.batch_size))
            chosen = self.order.pop(0)
            x, y = x[chosen], y[chosen]
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).backward()
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if self.config.orthogonal_gradients:
            for weight in self.model.parameters():
                project(weight)
        self.optimizer.step()
        self.rates.step()

    @torch.no_grad()
    def evaluate(self):
        """[loss, accuracy] of the training and of the test set."""
        self.model.eval()
        rows = []
        for x, y in self.sets:
            logits = self.model(x)
            accuracy = (logits.argmax(1) == y).float().mean()
            rows.append([self.loss(logits, y).item(), accuracy.item()])
        self.model.train()
        return rows


def main():
    parser = argparse.ArgumentParser(prog="plain.py")
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--steps", type=int, help="default: all of the run's")
    arguments = parser.parse_args()
    run = PlainRun(RUNS[arguments.run].config)
    steps = run.config.total_steps if arguments.steps is None else arguments.steps
    for step in range(steps + 1):
        if step % run.config.log_frequency == 0 or step == steps:
            (train_loss, train_accuracy), (_, test_accuracy) = run.evaluate()
        if step < steps:
            run.update()
    print(f"train loss {train_loss:.6g}, accuracy {train_accuracy:.4f}, test {test_accuracy:.4f}")


if __name__ == "__main__":
    main()
