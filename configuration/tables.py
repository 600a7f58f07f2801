"""The text of a metrics.csv as a table of numbers at rising steps; what is none is refused.

pandas' own reader takes a row that lacks cells, and costs of a short table three times as much.
"""

import functools
import io

CHARACTERS = b"0123456789+-.,einfa\n"  # of Python's spelling of numbers, "inf" and "nan" included
LONG = 2_000  # cells from which on pandas' reader is the faster one


def parse(data: bytes):
    """A pandas DataFrame of int64 and float64 columns; an empty cell is NaN.

    A last line without its end, as a process that is writing may leave it, is not read.

    Raises:
        ValueError: it is not such a table.
    """
    import pandas

    head, _, body = data[: data.rfind(b"\n") + 1].partition(b"\n")
    names, width = _names(head), head.count(b",") + 1
    if not body:
        raise ValueError("no row")
    text = body[:-1].decode(errors="replace")
    for line, row in enumerate(text.split("\n"), 2):
        if row.count(",") != width - 1:
            raise ValueError(f"line {line} has {row.count(',') + 1} cells for {width} columns")
    cells = text.replace("\n", ",").split(",")
    try:
        if body.translate(None, CHARACTERS):
            raise ValueError
        if len(cells) < LONG:
            table = _table(cells, names)
        else:
            table = pandas.read_csv(io.StringIO(text), names=names)
            table.astype(float)
    except ValueError:
        odd = next(k for k, cell in enumerate(cells) if not _is_number(cell))
        raise ValueError(f"no numbers in column {names[odd % width]}") from None
    for name in ("step", "epoch"):
        values = table[name].to_numpy()  # of nan neither comparison holds
        if not ((values == values).all() and (values[1:] > values[:-1]).all()):
            raise ValueError(f"column {name} does not rise from row to row")
    return table


@functools.lru_cache(maxsize=64)
def _names(head: bytes):
    """The names of the columns as a pandas Index."""
    import pandas

    names = head.decode().split(",")
    missing = [name for name in ("step", "epoch") if name not in names]
    if missing:
        raise ValueError(f"no column {missing[0]}")
    if len(set(names)) < len(names):
        raise ValueError("two columns of one name")
    return pandas.Index(names)


def _table(cells: list[str], names):
    """As pandas reads the cells of all rows, one after the other."""
    import numpy
    import pandas

    width = len(names)
    values = numpy.array([float(cell or "nan") for cell in cells]).reshape(-1, width)
    table = pandas.DataFrame(values, columns=names, copy=False)
    maybe = (k for k in range(width) if _is_whole(cells[k]))
    whole = [k for k in maybe if all(map(_is_whole, cells[k::width]))]
    if whole:
        table.isetitem(whole, values[:, whole].astype(numpy.int64))
    return table


def _is_whole(cell: str) -> bool:
    return len(cell) < 16 and cell.removeprefix("-").isdigit()  # below 2^53: exact as a float


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return not cell.encode().translate(None, CHARACTERS)
