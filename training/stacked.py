"""Runs of one shape in one process, their weights in one stack: R updates in the operations of one.

What they compute is what each computes alone, to rounding: products of matrices sum in another
order, and a full batch is taken as it stands instead of shuffled. Mini-batches are those that each
run draws alone. configuration/stacking.py says which runs can.
"""

from functools import partial
from itertools import groupby

import torch

import optimizers
from configuration.stacking import LOSS
from training import builders, stacked_network
from training.session import Session

AHEAD = 16  # epochs whose orders are drawn at once, run by run


def _loss(session: Session) -> tuple:
    return tuple(str(getattr(session.config, name)) for name in LOSS)


class Stacked(Session):
    """The live objects of R sessions at one step, stacked, and one update of all of them.

    Rows and checkpoints are the sessions' own: `hand_back` first.

    Args:
        sessions: of one `stacking.shape`, at the same step. Each has the state of its random stream
            in `stream`, as torch.get_rng_state gives it.
    """

    def __init__(self, sessions: list[Session]):
        sessions = sorted(sessions, key=_loss)
        vars(self).update(vars(sessions[0]))  # configuration, schedule's choices, step: shared
        self.sessions = sessions
        alike = [list(group) for _, group in groupby(sessions, _loss)]
        self.losses = [(group[0], len(group)) for group in alike]
        columns = list(zip(*(s.weights for s in sessions), strict=True))
        self.weights = [torch.stack([w.detach() for w in ws]) for ws in columns]
        self.optimizer = self._make_optimizer()
        self.lr_schedule = builders.make_schedule(self.config, self.optimizer)
        self.filter = builders.make_filter(self.config, self.optimizer, axis=1)
        for stack, ws in zip(self.weights, columns, strict=True):
            states = [s.optimizer.state[w] for s, w in zip(sessions, ws, strict=True)]
            if states[0]:  # a moment is stacked, the number of updates is the same of all
                self.optimizer.state[stack] = {
                    name: torch.stack([s[name] for s in states]) if value.dim() else value.clone()
                    for name, value in states[0].items()
                }
        self._stack_data()
        layers, biases = self.weights, []
        if self.model.has_bias:
            layers, biases = self.weights[::2], self.weights[1::2]
        self._backpropagate = partial(self._pass_back, layers, biases)

    def _make_optimizer(self):
        made = builders.make_optimizer(self.config, self.weights)
        if not isinstance(made, optimizers.OrthoGrad):
            return made
        project = torch.vmap(
            partial(optimizers.orthogonal_projection, restore_norm=made.restore_norm)
        )

        @torch.no_grad()
        def each_run_by_itself(*_):
            gradients = project(self.weights, [w.grad for w in self.weights])
            for w, gradient in zip(self.weights, gradients, strict=True):
                w.grad = gradient

        made.base_optimizer.register_step_pre_hook(each_run_by_itself)
        return made.base_optimizer

    def _stack_data(self):
        x = torch.stack([s.data.train_inputs for s in self.sessions])  # (R, N, K or F)
        if not x.is_floating_point():
            x = stacked_network.offset_positions(x, self.model.input_size)
        self._inputs = x
        self._targets = torch.stack([s.data.train_targets for s in self.sessions])  # (R, N)
        if not self.config.full_batch:
            self._draw()

    def _draw(self):
        """Draws the orders of the next epochs, each run's from its own stream."""
        epochs = max(AHEAD, *(s.batches.held for s in self.sessions))
        for s in self.sessions:
            torch.set_rng_state(s.stream)
            s.batches.prepare(epochs)
            s.stream = torch.get_rng_state()
        self.taken = self.sessions[0].batches.taken
        orders = torch.stack([s.batches.orders for s in self.sessions])  # (R, epochs, width)
        runs = torch.arange(len(orders), device=orders.device)
        self._orders = orders + (runs * self._targets.shape[1])[:, None, None]

    def _next_batch(self):
        """(R * B,) indices of each run's next batch among the examples of all; None for all."""
        if self.config.full_batch:
            return None
        epoch, batch = divmod(self.taken, self.steps_per_epoch)
        if epoch == self._orders.shape[1]:
            self._hand_back_batches()
            self._draw()
            epoch, batch = 0, 0
        self.taken += 1
        size = self.config.batch_size
        return self._orders[:, epoch, batch * size : (batch + 1) * size].flatten()

    def _examples(self, chosen):
        """((R, B, K or F) inputs, (R * B,) targets) of these."""
        if chosen is None:
            return self._inputs, self._targets.flatten()
        inputs = self._inputs.flatten(0, 1).index_select(0, chosen)
        inputs = inputs.view(len(self.sessions), -1, inputs.shape[1])
        return inputs, self._targets.flatten().index_select(0, chosen)

    def _pass_back(self, layers, biases, inputs, logit_gradient):
        dw, db = stacked_network.gradients(inputs, layers, biases, logit_gradient)
        for w, gradient in zip((*layers, *biases), (*dw, *db), strict=True):
            w.grad = gradient

    def _logit_gradient(self, targets, logits, _):
        """Gradient of each run's own mean loss by its logits, those of one loss at once."""
        parts, start, examples = [], 0, len(targets) // len(self.sessions)
        for session, runs in self.losses:
            rows = slice(start, start + runs * examples)
            parts.append(
                session.loss_gradient(logits[rows], targets[rows], examples, self.collapsed)
            )
            start = rows.stop
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @torch.no_grad()
    def hand_back(self):
        """Copies weights, moments, batches and step into the sessions, which then go on alone."""
        for r, session in enumerate(self.sessions):
            session.step = self.step
            for mine, stack in zip(session.weights, self.weights, strict=True):
                mine.copy_(stack[r])
                if self.step:
                    session.optimizer.state[mine] = {
                        name: (value[r] if value.dim() else value).clone()
                        for name, value in self.optimizer.state[stack].items()
                    }
        if not self.config.full_batch:
            self._hand_back_batches()

    def _hand_back_batches(self):
        for session in self.sessions:
            session.batches.taken = self.taken
