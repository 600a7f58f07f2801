"""An update as one CUDA graph: captured once for each size of batch, then replayed.

A replay repeats the kernels of the capture at the addresses of the capture. So what changes from
one update to the next is written to a place that stays: the batch's indices, a schedule's learning
rate. Random numbers differ, as torch registers its generator with every capture. Without a GPU the
tests replay recorded operations on the CPU instead.
"""

from collections.abc import Callable, Hashable
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from configuration.choices import definitions
from configuration.config import RunConfig

WARM_UP = 3  # eager updates of each kind first: libraries and optimizer allocate what they keep


def check(config: RunConfig, device: str, compile: bool) -> None:
    """Raises ValueError, one line, for what is not captured."""
    own = definitions(config)
    if not device.startswith("cuda"):
        raise ValueError(f"--graphed is for a CUDA device; leave it out with --device {device}")
    if compile:
        raise ValueError("--graphed and --compile are two forms of an update; give one of them")
    if own:
        raise ValueError(f"--graphed captures no code of your own ({', '.join(own)}); leave it out")
    if config.network_kind == "lstm":
        raise ValueError("--graphed does not capture network 'lstm'; leave it out")


def by_default(config: RunConfig, device: str, compile: bool) -> bool:
    """Whether an update is captured where nobody said: on NVIDIA's GPUs what can be."""
    try:
        check(config, device, compile)
    except ValueError:
        return False
    return torch.version.cuda is not None


class Replayed:
    """Calls `work(index)`, from the fourth call of a kind on as a replay of a captured one.

    Args:
        work: an update on the examples that `index` (B,) names; waits for nothing and reads no
            number on the host that changes between calls of one kind.
        capture: called with a function without arguments, which it may run or only record; returns
            one that does the same again.
        on_side: a context for the calls before a capture.
    """

    def __init__(self, work: Callable[[Tensor], None], capture, on_side):
        self.work, self.capture, self.on_side = work, capture, on_side
        self.calls: dict[Hashable, int] = {}
        self.captured: dict[Hashable, tuple[Tensor, Callable]] = {}

    def __call__(self, kind: Hashable, index: Tensor) -> None:
        calls = self.calls[kind] = self.calls.get(kind, 0) + 1
        if calls <= WARM_UP:
            with self.on_side():
                self.work(index)
            return
        if kind not in self.captured:
            place = index.clone()
            self.captured[kind] = place, self.capture(partial(self.work, place))
        place, replay = self.captured[kind]
        place.copy_(index)
        replay()


def capture(optimizer: torch.optim.Optimizer, work: Callable[[], None]) -> Callable[[], None]:
    """Records `work` as a CUDA graph, without running it; returns its replay."""
    groups = [g for g in optimizer.param_groups if "capturable" in g]
    for group in groups:  # for the capture alone: torch warns of it at an eager step
        group["capturable"] = True
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        error.add_note("in the capture of a CUDA graph; --no-graphed trains without one")
        raise
    finally:
        for group in groups:
            group["capturable"] = False
    return graph.replay


@contextmanager
def side_stream():
    """A stream of its own, as a capture wants of what comes before it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream().wait_stream(stream)
