"""The command line of a configuration: one flag per field of RunConfig, in groups.

Imports no torch.
"""

import argparse
import difflib
import re
import sys
import textwrap
import types
import typing
from dataclasses import MISSING, Field, fields
from importlib.util import find_spec

from configuration.config import RunConfig

GROUPS = {
    "task": "what is learned",
    "model": "the network",
    "loss": "what is minimised",
    "optimizer": "how it is minimised",
    "run": "length, precision and what is recorded",
}
# Accepted by the authors' parser and read by nothing there; the paper gives them no meaning.
DEAD_FLAGS = {"temperature_schedule": "no schedule is defined in the paper or in the authors' code"}


OTHER_NAMES = {
    "--learning_rate": "--lr",
    "--epochs": "--num_epochs",
    "--steps": "--num_steps",
    "--loss": "--loss_function",
    "--operation": "--binary_operation",
}  # what other projects call a flag
TRACKERS = ("tensorboard", "wandb")  # of training/tracking.py; packages, too
LEFT = 40  # characters of the column of flags; choices that do not fit stand below all of them


def split_list(flag: str, words, choices: str) -> list[str]:
    """The words of a list flag: `1,2`, `"1 2"`, `1 2` and repeats all mean the same.

    Raises:
        ValueError: the flag was given without a value.
    """
    if words is None:
        return []
    found = [w for w in re.split(r"[,\s]+", " ".join(words)) if w]
    if not found:
        raise ValueError(f"{flag} '' is empty; choose from {choices}, or drop it")
    return list(dict.fromkeys(found))


def parse_seeds(words) -> list[int] | None:
    """The seeds asked for, each once, rising; None: nobody asked."""
    found = split_list("--seeds", words, "whole numbers such as 42,43")
    for word in found:
        if not re.fullmatch("[0-9]+", word, re.ASCII) or int(word) >= 2**63:
            raise ValueError(f"seed '{word}': choose a whole number from 0 to 2^63 - 1")
    return sorted({int(word) for word in found}) or None


class OneLineHelp(argparse.HelpFormatter):
    """One line a flag, however long; switches as --[no-]name."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=LEFT, width=100)

    def _split_lines(self, text, width):
        return [" ".join(text.split())]

    def _fill_text(self, text, width, indent):
        return "".join(indent + line for line in text.splitlines(keepends=True))

    def _format_action_invocation(self, action):
        if isinstance(action, argparse.BooleanOptionalAction):
            return f"--[no-]{action.dest}"
        return super()._format_action_invocation(action)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and to which -1e-3 is a number.

    Args:
        elsewhere: called with a flag that is unknown here; says in words where it belongs, or None.
    """

    def __init__(self, *, elsewhere=lambda flag: None, **options):
        super().__init__(**options)
        self._elsewhere = elsewhere
        self._negative_number_matcher = re.compile(r"^-(\d|\.\d|inf$|nan$)")

    def error(self, message):
        if message.startswith("unrecognized arguments:"):
            word = message.split(": ", 1)[1].split()[0]
            known, flag = self._option_string_actions, word.split("=")[0]
            near = [OTHER_NAMES.get(flag)] if OTHER_NAMES.get(flag) in known else None
            near = near or difflib.get_close_matches(flag, known, 1, cutoff=0.7)
            hint = f"did you mean {near[0]}? " if near else ""
            message = self._elsewhere(flag)
            message = message or f"unknown flag {word}: {hint}see --help for all of them"
        self.exit(2, f"{self.prog}: {message}\n")


class Switch(argparse.BooleanOptionalAction):
    """--name, --no-name, and --name None."""

    def __init__(self, **options):
        super().__init__(**options)
        self.nargs, self.choices = "?", ("None",)

    def __call__(self, parser, namespace, value, flag=None):
        if value is None:
            super().__call__(parser, namespace, value, flag)
        else:
            setattr(namespace, self.dest, None)


def _base(f: Field):
    """(type of a field, whether it may be None as well)."""
    optional = isinstance(f.type, types.UnionType)
    return (typing.get_args(f.type)[0] if optional else f.type), optional


def _switch(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _whole_numbers(text: str) -> tuple[int, ...]:
    words = () if text == "None" else re.split(r"[,\sx]+", text.strip(", "))
    return tuple(int(word) for word in words)


def parse_value(f: Field, text: str):
    """A value of a field of RunConfig as a person writes it: 0.5, true, None, 200x200, 200,200.

    Raises:
        ValueError: it is none of the field's type; one line.
    """
    base, optional = _base(f)
    if optional and text == "None":
        return None
    parse, expected = {
        int: (int, "a whole number"),
        float: (float, "a number"),
        bool: (_switch, "true or false"),
        str: (str, "a word"),
    }.get(base, (_whole_numbers, "whole numbers such as 200x200, or None"))
    try:
        return parse(text)
    except (KeyError, ValueError):
        expected += " or None" if optional else ""
        raise ValueError(f"'{text}': expected {expected}") from None


def _reader(f: Field):
    """`parse_value` as argparse wants it."""

    def read(text):
        try:
            return parse_value(f, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(error) from None

    return read


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag per field, in groups; only flags that were given end up in the namespace."""
    groups = {name: parser.add_argument_group(f"{name}: {text}") for name, text in GROUPS.items()}
    below = []
    for f in fields(RunConfig):
        base, optional = _base(f)
        text = f.metadata["help"]
        if f.default is not MISSING:
            shown = " ".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
            text += f" [{shown if shown != '' else 'none'}]"
        options = {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
        if base is bool:
            options["action"] = Switch if optional else argparse.BooleanOptionalAction
        elif typing.get_origin(base) is tuple:
            options |= {"type": _reader(f), "nargs": "*", "metavar": "N"}
        else:
            options |= {"type": _reader(f), "metavar": base.__name__.upper()}
            if f.metadata["choices"]:
                choices = ",".join(map(str, f.metadata["choices"]))
                if len(f"  --{f.name} {{{choices}}}  ") <= LEFT:
                    options["metavar"] = "{" + choices + "}"
                else:
                    options["metavar"] = "NAME"
                    below.append(f"--{f.name}: {choices.replace(',', ', ')}")
        groups[f.metadata["group"]].add_argument(f"--{f.name}", **options)
    if below:
        wrapped = (textwrap.fill(line, 100, subsequent_indent="    ") for line in below)
        parser.epilog = "choices:\n" + "\n".join(f"  {text}" for text in wrapped)
    for name in DEAD_FLAGS:
        groups["run"].add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)


def own_file(argv) -> str | None:
    """The value of --figures-from on a command line, before the flags that its file may extend."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--figures-from")
    return parser.parse_known_args(argv)[0].figures_from


def add_own_file(parser: argparse.ArgumentParser):
    """The flag that `own_file` reads."""
    parser.add_argument(
        "--figures-from",
        metavar="FILE",
        help="the figures of this Python file (docs/extending.md)",
    )


def add_track(parser: argparse.ArgumentParser):
    """The flag that `trackers` reads."""
    parser.add_argument(
        "--track",
        nargs="*",
        action="extend",
        metavar="NAME",
        help=f"mirror rows and configuration in {' or '.join(TRACKERS)} (docs/cluster.md#tracking)",
    )


def trackers(words) -> list[str]:
    """The words of --track, each once.

    Raises:
        ValueError: another word, or its package is not installed; one line.
    """
    found = [word for text in words or () for word in re.split(r"[,\s]+", text)]
    if words is not None and not any(found):
        found = [""]
    for name in found:
        if name not in TRACKERS:
            raise ValueError(f"unknown tracker '{name}'; choose from {', '.join(TRACKERS)}")
        # Without torch it is not the Python that computes: the first start has yet to make that.
        if find_spec(name) is None and find_spec("torch"):
            raise ValueError(
                f"--track {name} needs a package that this Python lacks;"
                f" {sys.executable} -m pip install {name}"
            )
    return list(dict.fromkeys(found))


def given_fields(namespace: argparse.Namespace) -> dict:
    """The RunConfig fields that were given on the command line.

    Raises:
        ValueError: for a flag that the authors' parser accepts and nothing reads.
    """
    for name, why in DEAD_FLAGS.items():
        if getattr(namespace, name, False):
            raise ValueError(f"--{name} does nothing in the authors' code ({why}); drop it")
    names = {f.name for f in fields(RunConfig)}
    given = {k: v for k, v in vars(namespace).items() if k in names}
    # A list is one word or several, each of one number or several.
    return {k: sum(v, ()) if isinstance(v, list) else v for k, v in given.items()}
