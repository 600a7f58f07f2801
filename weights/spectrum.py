"""Fourier spectrum of a network's first layer over the residues (paper, C.2 and Figure 12).

    python -m weights.spectrum runs/add_stablemax/seed_42   # spectrum.csv into each folder

Needs the run's checkpoint; the initial weights are drawn again from the run's seed. The table has a
row per operand and frequency: its share of the power in the initial and in the final network.
weight_panels.py draws it. Imports torch only where a network is rebuilt.
"""

import csv
import io
import sys
from pathlib import Path

from configuration.interpreter import begin, end

if __name__ == "__main__":
    begin("numpy")

import numpy

from configuration import runs
from configuration.config import RunConfig
from configuration.flags import Parser

COLUMNS = ("operand", "frequency", "initial", "final")


def power_shares(weights) -> numpy.ndarray:
    """Share of each frequency k = 1 .. p//2 in the power sum_u |sum_x w[x, u] e^(-2 pi i k x/p)|^2.

    The constant k = 0 is left out: it acts as a bias. k and p - k are one frequency.

    Args:
        weights: (p, units), row x belongs to residue x.

    Returns:
        (p//2,) shares, 0 to 1, sum 1; entry k - 1 is frequency k.

    Raises:
        ValueError: fewer than two residues, or a layer that does not depend on the residue.

    Source: paper, Appendix C.2; the normalisation is ours.
    """
    weights = numpy.asarray(weights, dtype=numpy.float64)
    p = len(weights)
    if weights.ndim != 2 or p < 2:
        raise ValueError(f"weights of shape {weights.shape}: expected (residues, units), 2 or more")
    power = (numpy.abs(numpy.fft.rfft(weights, axis=0)) ** 2).sum(1)[1:]  # (p//2,)
    if p % 2 == 0:
        power[-1] /= 2  # k = p/2 is its own mirror image, all others count twice
    total = power.sum()
    # A constant layer leaves rounding errors of the transform, no spectrum.
    if not total > 1e-24 * (weights**2).sum() * p:
        raise ValueError("the first layer is the same for every residue; it has no spectrum")
    return power / total


def first_layers(config: RunConfig, state: dict) -> dict[str, numpy.ndarray]:
    """{operand: (p, units)}: the weights that each operand's residues meet first.

    Args:
        config: of the run.
        state: the network's state_dict.

    Raises:
        ValueError: the inputs of this task are not one-hot residues 0 .. p - 1.
    """
    if config.dataset != "add_mod" or config.operands != config.modulo:
        raise ValueError(
            f"dataset {config.dataset} with {config.operands} operands mod {config.modulo} has no"
            " one-hot residues; choose a run of --dataset add_mod with all operands"
        )
    if config.exclude_zero or config.operation.nonzero:
        without = "exclude_zero" if config.exclude_zero else "divide_mod"
        raise ValueError(f"{without}: residue 0 is not trained; choose a run in which it is")
    if config.network_kind != "mlp":
        return {"both": state["embedding.weight"].double().numpy()[: config.modulo]}
    weight = state["layers.0.weight"].double().numpy()  # (units, 2 p)
    return {"first": weight[:, : config.modulo].T, "second": weight[:, config.modulo :].T}


def spectrum(folder) -> list[dict]:
    """The rows of spectrum.csv of a run folder with a checkpoint."""
    from weights.surface import load_session

    session = load_session(folder)  # its network is the initial one, drawn from the seed
    states = (session.model.state_dict(), runs.load_final_state(folder))
    shares = [
        {k: power_shares(w) for k, w in first_layers(session.config, s).items()} for s in states
    ]
    initial, final = shares
    return [
        {"operand": operand, "frequency": k + 1, "initial": float(a), "final": float(b)}
        for operand in initial
        for k, (a, b) in enumerate(zip(initial[operand], final[operand], strict=True))
    ]


def main(argv=None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(prog="spectrum.py", description="Writes spectrum.csv into run folders.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="with checkpoint.pt")
    try:
        for folder in map(Path, parser.parse_args(argv).folders):
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(spectrum(folder))
            runs.write_derived(folder, {runs.SPECTRUM: text.getvalue()})
            print(folder / runs.SPECTRUM)
    except (OSError, ValueError, runs.RunError) as error:
        print(f"spectrum.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end(main)
