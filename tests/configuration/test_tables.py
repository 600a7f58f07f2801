"""metrics.csv as a table: pandas' types and bits of a good one, a refusal of every other."""

import io

import pandas
import pytest

from configuration import tables
from conftest import ROOT

PUBLISHED = sorted((ROOT / "results").rglob("metrics.csv"))
HEAD = "step,epoch,loss\n"


def read(text: str):
    return pandas.read_csv(io.StringIO(text))


@pytest.mark.parametrize("long", [0, 10**9])
def test_published_tables_have_the_types_and_bits_that_pandas_reads(long, monkeypatch):
    monkeypatch.setattr(tables, "LONG", long)
    assert len(PUBLISHED) > 100
    for path in PUBLISHED[:: 1 if long else 10]:
        data = path.read_bytes()
        pandas.testing.assert_frame_equal(
            tables.parse(data), read(data.decode()), check_exact=True, obj=str(path)
        )


@pytest.mark.parametrize("long", [0, 10**9])
@pytest.mark.parametrize(
    "rows",
    [
        "0,0.0,1e-300\n1,0.5,inf\n2,1.0,-inf\n",
        "0,0,\n1,1,\n",
        "0,0,-1\n1,1,2\n",
        "0,0,1\n1,1,nan\n",
        "0,0,0.1\n1,1,\n2,2,5e-324\n",
        "0,0,1\n10,1,9007199254740993.5\n",
    ],
)
def test_odd_numbers_are_as_pandas_reads_them(rows, long, monkeypatch):
    monkeypatch.setattr(tables, "LONG", long)
    pandas.testing.assert_frame_equal(
        tables.parse((HEAD + rows).encode()), read(HEAD + rows), check_exact=True
    )


@pytest.mark.parametrize("long", [0, 10**9])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + "0,0,1\n1,1\n", "line 3 has 2 cells for 3 columns"),
        (HEAD + "0,0,1\n1,1,1,1\n", "line 3 has 4 cells"),
        (HEAD + "0,0,1\n\n1,1,1\n", "line 3 has 1 cells"),
        (HEAD + "0,0\n1,1,1,1\n", "line 2 has 2 cells"),  # the number of cells is right
        (HEAD + "0,0,1_0\n", "no numbers in column loss"),
        (HEAD + "0,0, 1\n", "no numbers in column loss"),
        (HEAD + "0,0,\uff11\n", "no numbers in column loss"),
        (HEAD + "0,0,NA\n", "no numbers in column loss"),
        (HEAD + "0,0,einf\n", "no numbers in column loss"),
        (HEAD + "0,1e,1\n", "no numbers in column epoch"),
        (HEAD + "0,0,1\n1,-,1\n", "no numbers in column epoch"),
        (HEAD + '0,0,"1"\n', "no numbers in column loss"),
        (HEAD + "0,0,1\r\n", "no numbers in column loss"),
        (HEAD + "0,0,1\n" + HEAD, "no numbers in column step"),
        (HEAD + "0,0,1\nnan,1,1\n", "column step does not rise"),
        (HEAD + "1,0,1\n0,1,1\n", "column step does not rise"),
        ("step,epoch,step\n0,0,0\n", "two columns of one name"),
        ("\ufeff" + HEAD + "0,0,1\n", "no column step"),
        (HEAD + "0,0,1", "no row"),
        (HEAD[:-1], "no column step"),
    ],
)
def test_what_is_no_table_of_numbers_at_rising_steps_is_refused(text, reason, long, monkeypatch):
    monkeypatch.setattr(tables, "LONG", long)
    with pytest.raises(ValueError, match=reason):
        tables.parse(text.encode())
