"""The plan of the house, from its imports: folders as rooms on floors, arrows where one imports.

docs/house.png and two blocks of docs/house.md are made from it.
"""

import ast
from functools import partial
from pathlib import Path

from configuration import runs
from documents.blocks import ROOT, markdown_table

LEFT_OUT = ("tests", "results", "runs", "figures", "docs")


def modules() -> dict[str, Path]:
    """{dotted name: file} of the bundle's own modules, tests left out."""
    found = {}
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*/*.py")]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in LEFT_OUT and not parts[0].startswith("."):
            found[".".join(parts).removesuffix(".__init__")] = path
    return dict(sorted(found.items()))


def imports(name: str, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a module imports when it runs, anywhere in it."""
    found, tree = set(), ast.parse(known[name].read_text())
    tree.body = [n for n in tree.body if "TYPE_CHECKING" not in ast.dump(n)[:80]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else node.module)
    return {n for n in found if n in known and n != name}


def graph() -> dict[str, set[str]]:
    """{module: modules it imports}."""
    known = modules()
    return {name: imports(name, known) for name in known}


def room(module: str) -> str:
    """The folder of a module; a file at the root is its own room."""
    folder, dot, _ = module.partition(".")
    return f"{folder}/" if dot or (ROOT / folder).is_dir() else f"{module}.py"


def rooms() -> dict[str, set[str]]:
    """{room: rooms that its modules import from}."""
    found: dict[str, set[str]] = {}
    for module, others in graph().items():
        found.setdefault(room(module), set()).update(map(room, others))
    return {name: others - {name} for name, others in found.items()}


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    """Floor of each node: 1 without arrows, else one above the highest it points to.

    Raises:
        ValueError: a circle; names it.
    """
    found: dict[str, int] = {}

    def floor(name, path):
        if name in path:
            raise ValueError(f"a circle of imports: {' -> '.join([*path, name])}")
        if name not in found:
            found[name] = 1 + max((floor(o, (*path, name)) for o in arrows[name]), default=0)
        return found[name]

    for name in arrows:
        floor(name, ())
    return found


def sentence(name: str) -> str:
    """The first sentence of a room's docstring."""
    path = ROOT / name / "__init__.py" if name.endswith("/") else ROOT / name
    text = ast.get_docstring(ast.parse(path.read_text())) if path.is_file() else None
    return (text or "").split("\n")[0]


def folders() -> str:
    """A table: each room with its sentence."""
    order = sorted(rooms(), key=lambda r: (r.endswith("/"), r))
    rows = [(f"`{name}`", sentence(name)) for name in order if name != "benchmarks/"]
    return "\n".join(markdown_table(("room", "who lives there"), rows))


def arrows() -> str:
    """A table: each room with those it imports from."""
    floor = floors(rooms())
    rows = [
        (floor[name], f"`{name}`", ", ".join(f"`{o}`" for o in sorted(others)) or "–")
        for name, others in sorted(rooms().items(), key=lambda item: (-floor[item[0]], item[0]))
    ]
    return "\n".join(markdown_table(("floor", "room", "imports from"), rows))


def reduced(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others."""

    def below(name) -> set[str]:
        return arrows[name].union(*map(below, arrows[name]))

    return {n: {o for o in to if not any(o in below(b) for b in to)} for n, to in arrows.items()}


def draw() -> Path:
    """Writes docs/house.png."""
    from matplotlib.figure import Figure

    between = {n: o for n, o in rooms().items() if n not in ("benchmarks/", "documents/")}
    floor = floors(between)
    between = reduced({n: o & between.keys() for n, o in between.items()})
    picture = Figure(figsize=(10, 1.05 * max(floor.values()) + 0.3), layout="constrained")
    axes = picture.subplots()
    places: dict[str, tuple[float, float]] = {}
    for level in range(1, max(floor.values()) + 1):
        names = sorted(n for n in floor if floor[n] == level)
        middle = {n: [places[o][0] for o in between[n]] for n in names}  # above what it rests on
        names.sort(key=lambda n: sum(middle[n]) / len(middle[n]) if middle[n] else 0)
        for k, name in enumerate(names):
            places[name] = (k + 0.5) / len(names), level
    for name, (x, y) in places.items():
        for other in between[name]:
            axes.annotate(
                "", places[other], (x, y), zorder=1,
                arrowprops={"arrowstyle": "-|>", "color": "#888888", "linewidth": 1,
                            "shrinkA": 14, "shrinkB": 14},
            )  # fmt: skip
        color = "#E8F1FA" if name.endswith("/") else "#FFF4DF"
        box = {"boxstyle": "round,pad=0.5", "facecolor": color, "edgecolor": "#555555"}
        axes.text(x, y, name, ha="center", va="center", size=10, bbox=box, zorder=2)
    axes.set(xlim=(0, 1), ylim=(0.5, max(floor.values()) + 0.5))
    axes.axis("off")
    path = ROOT / "docs" / "house.png"
    runs.replace_file(path, partial(picture.savefig, format="png", dpi=90))
    return path
