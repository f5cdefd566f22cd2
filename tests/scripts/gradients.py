"""A DML script that checks the backward functions of the NN library against finite differences.

For every layer, the loss is `sum(out * weight)` with a fixed random weight (or the layer's own scalar), so that
backward gets `weight` as dout; every cell of every parameter is then moved by a small step both ways.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """How to call one layer: its parameters with their initial values, and which gradients to compare."""

    name: str
    parameters: dict[str, str]
    forward: str
    backward: str
    gradients: dict[str, str]
    scalar: bool = False


def normal(rows: int, cols: int, seed: int) -> str:
    return f'rand(rows={rows}, cols={cols}, pdf="normal", seed={seed})'


def positive(rows: int, cols: int, seed: int) -> str:
    return f"rand(rows={rows}, cols={cols}, min=0.1, max=0.9, seed={seed})"


def loss(name: str, parameters: str = "normal") -> Layer:
    draw = positive if parameters == "positive" else normal
    cols = 1 if name == "log_loss" else 3
    return Layer(
        name,
        {"pred": draw(4, cols, 1), "y": draw(4, cols, 2)},
        f"out = {name}::forward(pred, y)",
        f"dpred = {name}::backward(pred, y)",
        {"pred": "dpred"},
        scalar=True,
    )


def cellwise(name: str, extra: str = "") -> Layer:
    return Layer(
        name,
        {"X": normal(4, 5, 3)},
        f"out = {name}::forward(X{extra})",
        f"dX = {name}::backward(weight, X{extra})",
        {"X": "dX"},
    )


def batch_norm1d(mode: str) -> Layer:
    state = f'"{mode}", em, ev, 0.9, 0.001'
    return Layer(
        "batch_norm1d",
        {
            "X": normal(6, 3, 4),
            "gamma": normal(1, 3, 5),
            "beta": normal(1, 3, 6),
            "em": normal(1, 3, 7),
            "ev": positive(1, 3, 8),
        },
        f"[out, emu, evu, cm, cv, cn] = batch_norm1d::forward(X, gamma, beta, {state})",
        "[dX, dgamma, dbeta] = batch_norm1d::backward(weight, out, emu, evu, cm, cv, cn, X, gamma, beta, "
        f"{state})",
        {"X": "dX", "gamma": "dgamma", "beta": "dbeta"},
    )


def recurrent(name: str, sequences: bool) -> Layer:
    flag = "TRUE" if sequences else "FALSE"
    parameters = {
        "X": normal(2, 6, 9),
        "W": normal(5, 12 if name == "lstm" else 3, 10),
        "b": normal(1, 12 if name == "lstm" else 3, 11),
        "out0": normal(2, 3, 12),
    }
    if name == "rnn":
        return Layer(
            name,
            parameters,
            f"[out, cache] = rnn::forward(X, W, b, 3, 2, {flag}, out0)",
            f"[dX, dW, db, dout0] = rnn::backward(weight, X, W, b, 3, 2, {flag}, out0, cache)",
            {"X": "dX", "W": "dW", "b": "db", "out0": "dout0"},
        )
    return Layer(
        name,
        parameters | {"c0": normal(2, 3, 13)},
        f"[last, c, co, cc, ci] = lstm::forward(X, W, b, 3, 2, {flag}, out0, c0)\nout = cbind(last, c)",
        "dlast = weight[, 1:(ncol(weight) - 3)]\ndc = weight[, (ncol(weight) - 2):ncol(weight)]\n"
        f"[dX, dW, db, dout0, dc0] = lstm::backward(dlast, dc, X, W, b, 3, 2, {flag}, out0, c0, co, cc, ci)",
        {"X": "dX", "W": "dW", "b": "db", "out0": "dout0", "c0": "dc0"},
    )


def convolution(stride: int, padding: int) -> Layer:
    shape = f"2, 5, 4, 3, 2, {stride}, {stride}, {padding}, {padding}"
    return Layer(
        "conv2d",
        {"X": normal(2, 40, 14), "W": normal(3, 12, 15), "b": normal(3, 1, 16)},
        f"[out, Hout, Wout] = conv2d::forward(X, W, b, {shape})",
        f"[dX, dW, db] = conv2d::backward(weight, Hout, Wout, X, W, b, {shape})",
        {"X": "dX", "W": "dW", "b": "db"},
    )


def pooling(stride: int, padding: int) -> Layer:
    shape = f"2, 5, 4, 3, 2, {stride}, {stride}, {padding}, {padding}"
    return Layer(
        "max_pool2d",
        {"X": normal(2, 40, 17)},
        f"[out, Hout, Wout] = max_pool2d::forward(X, {shape})",
        f"dX = max_pool2d::backward(weight, Hout, Wout, X, {shape})",
        {"X": "dX"},
    )


LAYERS = [
    Layer(
        "affine",
        {"X": normal(4, 3, 18), "W": normal(3, 2, 19), "b": normal(1, 2, 20)},
        "out = affine::forward(X, W, b)",
        "[dX, dW, db] = affine::backward(weight, X, W, b)",
        {"X": "dX", "W": "dW", "b": "db"},
    ),
    Layer(
        "low_rank_affine",
        {"X": normal(4, 3, 21), "U": normal(3, 2, 22), "V": normal(2, 5, 23), "b": normal(1, 5, 24)},
        "out = low_rank_affine::forward(X, U, V, b)",
        "[dX, dU, dV, db] = low_rank_affine::backward(weight, X, U, V, b)",
        {"X": "dX", "U": "dU", "V": "dV", "b": "db"},
    ),
    cellwise("relu"),
    cellwise("sigmoid"),
    cellwise("tanh"),
    cellwise("elu", ", 2"),
    cellwise("softmax"),
    Layer(
        "softmax2d",
        {"X": normal(2, 12, 25)},
        "out = softmax2d::forward(X, 3)",
        "dX = softmax2d::backward(weight, X, 3)",
        {"X": "dX"},
    ),
    loss("cross_entropy_loss", "positive"),
    loss("log_loss", "positive"),
    loss("l1_loss"),
    loss("l2_loss"),
    Layer(
        "cross_entropy_loss2d",
        {"pred": positive(2, 12, 26), "y": positive(2, 12, 27)},
        "out = cross_entropy_loss2d::forward(pred, y, 3)",
        "dpred = cross_entropy_loss2d::backward(pred, y, 3)",
        {"pred": "dpred"},
        scalar=True,
    ),
    Layer(
        "l1_reg",
        {"X": normal(3, 4, 28)},
        "out = l1_reg::forward(X, 0.3)",
        "dX = l1_reg::backward(X, 0.3)",
        {"X": "dX"},
        scalar=True,
    ),
    Layer(
        "l2_reg",
        {"X": normal(3, 4, 29)},
        "out = l2_reg::forward(X, 0.3)",
        "dX = l2_reg::backward(X, 0.3)",
        {"X": "dX"},
        scalar=True,
    ),
    Layer(
        "dropout",
        {"X": normal(4, 5, 30)},
        "[out, mask] = dropout::forward(X, 0.5, 7)",
        "dX = dropout::backward(weight, X, 0.5, mask)",
        {"X": "dX"},
    ),
    Layer(
        "scale_shift1d",
        {"X": normal(4, 3, 31), "gamma": normal(1, 3, 32), "beta": normal(1, 3, 33)},
        "out = scale_shift1d::forward(X, gamma, beta)",
        "[dX, dgamma, dbeta] = scale_shift1d::backward(weight, out, X, gamma, beta)",
        {"X": "dX", "gamma": "dgamma", "beta": "dbeta"},
    ),
    Layer(
        "scale_shift2d",
        {"X": normal(2, 12, 34), "gamma": normal(3, 1, 35), "beta": normal(3, 1, 36)},
        "out = scale_shift2d::forward(X, gamma, beta, 3, 2, 2)",
        "[dX, dgamma, dbeta] = scale_shift2d::backward(weight, out, X, gamma, beta, 3, 2, 2)",
        {"X": "dX", "gamma": "dgamma", "beta": "dbeta"},
    ),
    batch_norm1d("train"),
    batch_norm1d("test"),
    Layer(
        "batch_norm2d_old",
        {
            "X": normal(3, 12, 37),
            "gamma": normal(3, 1, 38),
            "beta": normal(3, 1, 39),
            "em": normal(3, 1, 40),
            "ev": positive(3, 1, 41),
        },
        '[out, emu, evu, cm, ci] = batch_norm2d_old::forward(X, gamma, beta, 3, 2, 2, "train", em, ev, 0.9, 0.001)',
        "[dX, dgamma, dbeta] = batch_norm2d_old::backward(weight, cm, ci, X, gamma, 3, 2, 2, 0.001)",
        {"X": "dX", "gamma": "dgamma", "beta": "dbeta"},
    ),
    Layer(
        "fm",
        {"X": normal(4, 3, 42), "w0": normal(1, 1, 43), "W": normal(3, 1, 44), "V": normal(3, 2, 45)},
        "out = fm::forward(X, w0, W, V)",
        "[dw0, dW, dV] = fm::backward(weight, X, w0, W, V)",
        {"w0": "dw0", "W": "dW", "V": "dV"},
    ),
    recurrent("rnn", True),
    recurrent("rnn", False),
    recurrent("lstm", True),
    recurrent("lstm", False),
    convolution(1, 0),
    convolution(2, 1),
    pooling(1, 0),
    pooling(2, 1),
    Layer(
        "upsample2d",
        {"X": normal(2, 12, 46)},
        "out = upsample2d::forward(X, 2, 2, 3, 2, 3)",
        "dX = upsample2d::backward(weight, 2, 2, 3, 2, 3)",
        {"X": "dX"},
    ),
]


def script(layer: Layer, step: float = 1e-5) -> str:
    """The check of one layer; prints `layer parameter error` for each gradient, errors relative to its size."""
    lines = [f'source("nn/layers/{layer.name}.dml") as {layer.name}']
    lines += [f"{name} = {value}" for name, value in layer.parameters.items()]
    lines.append(layer.forward)
    if not layer.scalar:
        lines.append('weight = rand(rows=nrow(out), cols=ncol(out), pdf="normal", seed=99)')
    lines.append(layer.backward)
    value = "out" if layer.scalar else "sum(out * weight)"
    for name, gradient in layer.gradients.items():
        lines += [
            f"numeric = matrix(0, rows=nrow({name}), cols=ncol({name}))",
            f"kept = {name}",
            "for (row in 1:nrow(kept)) { for (col in 1:ncol(kept)) {",
            f"{name}[row, col] = as.scalar(kept[row, col]) + {step}",
            layer.forward,
            f"above = {value}",
            f"{name}[row, col] = as.scalar(kept[row, col]) - {step}",
            layer.forward,
            f"numeric[row, col] = (above - {value}) / {2 * step}",
            f"{name} = kept",
            "} }",
            f"error = max(abs(numeric - {gradient})) / max(1e-3, max(abs(numeric)))",
            f'print("{layer.name} {name} " + error)',
        ]
    return "\n".join(lines) + "\n"
