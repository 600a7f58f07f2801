"""In what a configuration differs from a declared one: as a folder's name, and as flags.

Needs no package.
"""

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields

from configuration.config import RunConfig

ORDER = sorted(fields(RunConfig), key=lambda f: f.default is MISSING)  # as names and flags have it
LONGEST = 120  # characters of a name; file systems take 255 bytes


def field_named(name: str) -> Field:
    """The field of RunConfig of this name.

    Raises:
        ValueError: there is none, or it is the seed, of which runs are replicates; one line.
    """
    known = {f.name: f for f in fields(RunConfig)}
    if name == "seed":
        raise ValueError("seeds are replicates, given by --seeds of run_main_experiments.sh")
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"unknown field '{name}': {hint}train.py --help has all")
    return known[name]


def changes(values: Mapping, declared: RunConfig | None = None) -> dict:
    """The fields that differ from the declared run's, or from the defaults; but for the seed.

    In the order of RunConfig, so that a configuration has one name; those without a default, which
    is the learning rate, come last.
    """
    return {
        f.name: values[f.name]
        for f in ORDER
        if f.name in values
        and f.name != "seed"
        and values[f.name] != (getattr(declared, f.name) if declared else f.default)
    }


def spell(value) -> str:
    """A value as flags and names have it: 0.5, 2, true, 200x200, None; read by flags.parse_value.

    Different values of a field have different spellings.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "None"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def as_flags(changed: Mapping) -> list[str]:
    """The flags of train.py that make these changes."""
    words = []
    for name, value in changed.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", spell(value)]
    return words


def variant_name(name: str, changed: Mapping) -> str:
    """<name>-<field><value>-... for the folder of a run; the name itself without a change."""
    root, slash, last = name.rpartition("/")  # of another size than the full one: quick/<name>
    return root + slash + file_name(last, *(f"{field}{spell(v)}" for field, v in changed.items()))


def file_name(*parts: str) -> str:
    """The parts with hyphens between; where that is too long or odd its end becomes a digest."""
    text = "-".join(parts)
    safe = re.sub(r"[^\w.+-]", "_", text, flags=re.ASCII)
    if safe == text and len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{safe[: LONGEST - 9]}-{digest}"
