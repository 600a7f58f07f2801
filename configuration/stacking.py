"""Which runs one process can train together, their weights in one stack: training/stacked.py.

Needs no package.
"""

from dataclasses import asdict

from configuration.choices import OPTIMIZERS, definitions
from configuration.config import RunConfig

AND = "--and"  # on train.py's command line, between the flags of runs that one process trains
# A loss is a sum over rows, so runs may have different ones and share the rest of a step.
LOSS = (
    "loss_function", "softmax_precision", "stablemax_precision", "softmax_temperature",
    "label_smoothing", "logit_norm_penalty",
)  # fmt: skip
FREE = ("seed", "binary_operation", *LOSS)
# What a run of a stack has as here: the rest draws random numbers in an update, or needs the norm
# of one run's whole gradient. Nor has it an optimizer that takes each matrix as a whole.
PLAIN = {
    "network_kind": "mlp", "weight_noise": 0.0, "update_noise": 0.0, "rotation": 0.0, "blur": 0.0,
    "clip_norm": None, "use_lr_scheduler": False, "weight_decay_to": "zero", "decay_all": True,
}  # fmt: skip


def why_alone(config: RunConfig) -> str | None:
    """What keeps a run out of any stack, such as "use_lr_scheduler True"; None for nothing."""
    for name, plain in PLAIN.items():
        value = getattr(config, name)
        if value != plain:
            return f"{name.removesuffix('_kind')} {value}"
    if OPTIMIZERS[config.optimizer].by_matrix:
        return f"optimizer {config.optimizer}"
    own = [words for words in definitions(config) if not words.startswith("operation ")]
    return f"{own[0]} of one's own" if own else None


def shape(config: RunConfig) -> tuple:
    """What runs of one stack have in common: every field but FREE, and the number of examples."""
    fields = {name: value for name, value in asdict(config).items() if name not in FREE}
    return (("training examples", config.train_examples), *fields.items())


def differences(ours: RunConfig, theirs: RunConfig) -> str:
    """What keeps two runs out of one stack, as `name a -> b` for a message; "" for nothing."""
    pairs = zip(shape(ours), shape(theirs), strict=True)
    return ", ".join(f"{name} {a} -> {b}" for (name, a), (_, b) in pairs if a != b)
