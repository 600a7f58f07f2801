"""Pages in Markdown with blocks that are made, not typed: from NAME's mark to the next end mark.

<!-- made: scoreboard -->
...
<!-- end -->
"""

import importlib
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from configuration import runs
from experiment.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
COLOURS = 128  # of a stored picture: a curve's pixels stay, a third of the bytes is left
BLOCK = re.compile(r"(<!-- (made|measured): (\w+) -->\n)(.*?)(\n?<!-- end -->)", re.DOTALL)


def blocks(text: str, kind: str = "made") -> dict[str, str]:
    """{name: content} of the blocks of a page."""
    return {m[3]: m[4] for m in BLOCK.finditer(text) if m[2] == kind}


def filled(text: str, makers: Mapping[str, Callable[[], str]], kind: str = "made") -> str:
    """The page with each block of this kind made anew, all else untouched.

    Raises:
        ValueError: nothing makes a block of this name.
    """

    def fill(match):
        begin, its_kind, name, _, _ = match.groups()
        if its_kind != kind:
            return match[0]
        if name not in makers:
            raise ValueError(f"nothing makes a block '{name}'; choose from {', '.join(makers)}")
        return f"{begin}{makers[name]()}\n<!-- end -->"

    return BLOCK.sub(fill, text)


def markdown_table(headings, rows, right=()) -> list[str]:
    """The lines of a table; a | in a cell is escaped; columns in `right` are aligned so."""
    rule = ["---:" if heading in right else "---" for heading in headings]
    rows = [[str(c).replace("|", "\\|") for c in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in [headings, rule, *rows]]


def published_size(figure: Figure) -> str:
    """ "full" where results/ has each run of that size, else the size for two cores."""
    folders = (ROOT / "results" / run.form("full")[0] for run in figure.runs)
    whole = all(any(folder.glob(f"seed_*/{runs.SUMMARY}")) for folder in folders)
    return "full" if whole else "cpu"


def said_of(figure: Figure) -> str:
    """What the file of one of the bundle's figures says of it: its docstring without the title."""
    name = figure.id.replace("-", "_")
    first = name.partition("_")[0]  # a file of several figures has the name of the first
    places = (("paper", f"figure_{name}"), ("paper", name), ("related", name), ("related", first))
    module = next(".".join(p) for p in places if ROOT.joinpath(*p).with_suffix(".py").is_file())
    return importlib.import_module(module).__doc__.partition("\n")[2].strip()


def fewer_colours(png: bytes) -> bytes:
    """The picture with COLOURS colours, the nearest ones: lines and letters look the same."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture, io.BytesIO() as buffer:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(buffer, format="png", optimize=True)
        return buffer.getvalue()


def write(path: Path, text: str) -> bool:
    """Replaces a page, all or nothing; whether it changed."""
    changed = not path.is_file() or path.read_text() != text
    if changed:
        runs.replace_file(path, lambda file: file.write(text.encode()))
    return changed
