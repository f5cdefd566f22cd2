"""The NN library: gradients against finite differences, values against NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .gradients import LAYERS, Layer, script
from .values import VALUES, Value

SOURCES = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


def run(source: str, folder: Path, *options: str) -> list[str]:
    """Run a script in an empty folder: the library is found all the same."""
    path = folder / "script.dml"
    path.write_text(source)
    command = [sys.executable, "-m", "sysmlc.tools.sysmlc", "run", str(path), *options]
    done = subprocess.run(command, cwd=folder, env=SOURCES, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_backward_is_the_gradient_of_forward(layer: Layer, tmp_path: Path) -> None:
    errors = {parameter: float(error) for _, parameter, error in map(str.split, run(script(layer), tmp_path))}
    assert set(errors) == set(layer.gradients)
    assert max(errors.values()) < 1e-7, errors


@pytest.mark.parametrize("name", ["affine", "cross_entropy_loss", "batch_norm1d", "conv2d"])
def test_gradients_in_single_precision(name: str, tmp_path: Path) -> None:
    """Larger steps, because differences of f32 are less exact."""
    layer = next(layer for layer in LAYERS if layer.name == name)
    printed = run(script(layer, step=0.004), tmp_path, "--precision=single")
    errors = {parameter: float(error) for _, parameter, error in map(str.split, printed)}
    assert set(errors) == set(layer.gradients)
    assert max(errors.values()) < 2e-3, errors


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_value(value: Value, tmp_path: Path) -> None:
    for key, matrix in value.inputs.items():
        np.savetxt(tmp_path / f"{key}.csv", matrix, delimiter=",", fmt="%.17g")
    run(value.script(), tmp_path)
    for key, reference in value.outputs.items():
        actual = np.loadtxt(tmp_path / f"{key}.csv", delimiter=",", ndmin=2)
        np.testing.assert_allclose(actual, reference, rtol=1e-9, atol=1e-12, err_msg=f"{value.name}: {key}")


# Of each layer that starts from random weights: the sizes that init takes, its results, and which of them are random.
INIT = {
    "affine": ("4, 3", "W, b", "W"),
    "conv2d": ("2, 3, 2, 2", "W, b", "W"),
    "fm": ("4, 3", "w0, W, V", "V"),
    "low_rank_affine": ("4, 3, 3", "U, V, b", "rbind(U, V)"),
    "lstm": ("5, 4, 3", "W, b, out0, c0", "W"),
    "rnn": ("5, 4, 3", "W, b, out0", "W"),
}


@pytest.mark.parametrize("name", INIT)
def test_a_seed_repeats_the_first_weights(name: str, tmp_path: Path) -> None:
    sizes, results, random = INIT[name]
    lines = [f'source("nn/layers/{name}.dml") as layer']
    for k, seed in enumerate(["", ", 7", ", 7", ", 8", ", -1", ", -1"]):
        lines += [f"[{results}] = layer::init({sizes}{seed})", f"draw{k} = {random}"]
    pairs = ["draw1 == draw2", "draw1 == draw3", "draw0 == draw4", "draw4 == draw5"]
    lines.append("print(" + ' + " " + '.join(f"sum({pair}) / length(draw0)" for pair in pairs) + ")")
    shares = [float(share) for share in run("\n".join(lines), tmp_path)[0].split()]
    assert shares == [1, 0, 0, 0]
