"""Values of the NN library's functions, computed by NumPy straight from the definitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """A few calls on matrices read from files, and what they must write."""

    name: str
    file: str
    inputs: dict[str, Matrix]
    body: str
    outputs: dict[str, Matrix]

    def script(self) -> str:
        """The DML script, reading and writing NAME.csv in the current folder; the file is sourced as `it`."""
        lines = [f'source("nn/{self.file}.dml") as it']
        lines += [f'{key} = read("{key}.csv", format="csv")' for key in self.inputs]
        lines += [self.body]
        lines += [f'write({key}, "{key}.csv", format="csv")' for key in self.outputs]
        return "\n".join(lines) + "\n"


random = np.random.default_rng(5)


def normal(*shape: int) -> Matrix:
    return random.normal(size=shape)


def one(value: float) -> Matrix:
    return np.array([[value]], dtype=float)


def softmax(X: Matrix, axis: int) -> Matrix:
    shifted = np.exp(X - X.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def sigmoid(X: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-X))


def padded(images: Matrix, padh: int, padw: int, value: float) -> Matrix:
    return np.pad(images, ((0, 0), (0, 0), (padh, padh), (padw, padw)), constant_values=value)


def convolution(
    X: Matrix, W: Matrix, b: Matrix, shape: tuple[int, int, int], stride: int, pad: int
) -> Matrix:
    C, H, width = shape
    F, Hf, Wf = len(W), 3, 2
    images = padded(X.reshape(-1, C, H, width), pad, pad, 0)
    windows = np.lib.stride_tricks.sliding_window_view(images, (Hf, Wf), axis=(2, 3))[
        :, :, ::stride, ::stride
    ]
    out = np.einsum("nchwij,fcij->nfhw", windows, W.reshape(F, C, Hf, Wf)) + b.reshape(1, F, 1, 1)
    return out.reshape(len(X), -1)


def pooling(X: Matrix, shape: tuple[int, int, int], stride: int, pad: int) -> Matrix:
    images = padded(X.reshape(-1, *shape), pad, pad, -np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 2), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.max(axis=(4, 5)).reshape(len(X), -1)


def lstm(X: Matrix, W: Matrix, b: Matrix, out: Matrix, c: Matrix, steps: int) -> tuple[Matrix, Matrix]:
    outs = []
    for x in np.split(X, steps, axis=1):
        i, f, o, g = np.split(np.hstack([x, out]) @ W + b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        out = sigmoid(o) * np.tanh(c)
        outs.append(out)
    return np.hstack(outs), c


def layers() -> list[Value]:
    X, W, b, y = normal(4, 6), normal(6, 3), normal(1, 3), softmax(normal(4, 3), 1)
    images, filters, bias = normal(2, 40), normal(3, 12), normal(3, 1)
    sequences, gates, gate_bias, out0, c0 = (
        normal(2, 6),
        normal(5, 12),
        normal(1, 12),
        normal(2, 3),
        normal(2, 3),
    )
    pred = softmax(normal(4, 3), 1)
    shape = (2, 5, 4)
    pixel_scores = normal(2, 12)
    outs, c = lstm(sequences, gates, gate_bias, out0, c0, 3)
    gamma, beta, ema_mean, ema_var = normal(1, 6), normal(1, 6), normal(1, 6), np.abs(normal(1, 6))
    norm = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 0.01)
    channel = X.reshape(4, 2, 3)
    centre, spread = channel.mean(axis=(0, 2), keepdims=True), channel.var(axis=(0, 2), keepdims=True)
    norm2d = (channel - centre) / np.sqrt(spread + 0.01)
    gamma2d, beta2d = normal(2, 1), normal(2, 1)
    out2d = norm2d * gamma2d.reshape(1, 2, 1) + beta2d.reshape(1, 2, 1)
    values = [
        Value(
            "affine",
            "layers/affine",
            {"X": X, "W": W, "b": b},
            "out = it::forward(X, W, b)",
            {"out": X @ W + b},
        ),
        Value("relu", "layers/relu", {"X": X}, "out = it::forward(X)", {"out": np.maximum(X, 0)}),
        Value("sigmoid", "layers/sigmoid", {"X": X}, "out = it::forward(X)", {"out": sigmoid(X)}),
        Value("tanh", "layers/tanh", {"X": X}, "out = it::forward(X)", {"out": np.tanh(X)}),
        Value(
            "elu",
            "layers/elu",
            {"X": 500 * X},
            "out = it::forward(X, 2)",
            {"out": np.where(X > 0, 500 * X, 2 * np.expm1(np.minimum(500 * X, 0)))},
        ),
        Value(
            "softmax",
            "layers/softmax",
            {"X": 300 * X},
            "out = it::forward(X)",
            {"out": softmax(300 * X, 1)},
        ),
        Value(
            "softmax2d",
            "layers/softmax2d",
            {"X": pixel_scores},
            "out = it::forward(X, 3)",
            {"out": softmax(pixel_scores.reshape(2, 3, 4), 1).reshape(2, 12)},
        ),
        Value(
            "cross_entropy_loss",
            "layers/cross_entropy_loss",
            {"pred": pred, "y": y},
            "out = as.matrix(it::forward(pred, y))",
            {"out": one(-(y * np.log(pred + 1e-10)).sum() / 4)},
        ),
        Value(
            "cross_entropy_loss2d",
            "layers/cross_entropy_loss2d",
            {"pred": pred, "y": y},
            "out = as.matrix(it::forward(pred, y, 1))",
            {"out": one(-(y * np.log(pred + 1e-10)).sum() / 12)},
        ),
        Value(
            "log_loss",
            "layers/log_loss",
            {"pred": pred[:, :1], "y": y[:, :1]},
            "out = as.matrix(it::forward(pred, y))",
            {"out": one(-(y[:, 0] * np.log(pred[:, 0]) + (1 - y[:, 0]) * np.log(1 - pred[:, 0])).mean())},
        ),
        Value(
            "l2_loss",
            "layers/l2_loss",
            {"pred": pred, "y": y},
            "out = as.matrix(it::forward(pred, y))",
            {"out": one(((pred - y) ** 2).sum() / 8)},
        ),
        Value(
            "batch_norm1d",
            "layers/batch_norm1d",
            {"X": X, "gamma": gamma, "beta": beta, "em": ema_mean, "ev": ema_var},
            '[out, mean, var, cm, cv, cn] = it::forward(X, gamma, beta, "train", em, ev, 0.9, 0.01)',
            {
                "out": norm * gamma + beta,
                "mean": 0.9 * ema_mean + 0.1 * X.mean(axis=0),
                "var": 0.9 * ema_var + 0.1 * X.var(axis=0),
            },
        ),
        Value(
            "batch_norm2d_old",
            "layers/batch_norm2d_old",
            {"X": X, "gamma": gamma2d, "beta": beta2d, "em": 0 * beta2d, "ev": 0 * beta2d + 1},
            '[out, mean, var, cm, ci] = it::forward(X, gamma, beta, 2, 3, 1, "train", em, ev, 0.9, 0.01)',
            {
                "out": out2d.reshape(4, 6),
                "mean": 0.1 * centre.reshape(2, 1),
                "var": 0.9 + 0.1 * spread.reshape(2, 1),
            },
        ),
        Value(
            "lstm",
            "layers/lstm",
            {"X": sequences, "W": gates, "b": gate_bias, "out0": out0, "c0": c0},
            "[out, c, co, cc, ci] = it::forward(X, W, b, 3, 2, TRUE, out0, c0)",
            {"out": outs, "c": c},
        ),
        Value(
            "upsample2d",
            "layers/upsample2d",
            {"X": pixel_scores},
            "out = it::forward(X, 2, 2, 3, 2, 3)",
            {"out": pixel_scores.reshape(2, 2, 2, 3).repeat(2, axis=2).repeat(3, axis=3).reshape(2, -1)},
        ),
    ]
    for stride, pad in ((1, 0), (2, 1)):
        geometry = f"2, 5, 4, 3, 2, {stride}, {stride}, {pad}, {pad}"
        values += [
            Value(
                f"conv2d_stride{stride}_pad{pad}",
                "layers/conv2d",
                {"X": images, "W": filters, "b": bias},
                f"[out, Hout, Wout] = it::forward(X, W, b, {geometry})",
                {"out": convolution(images, filters, bias, shape, stride, pad)},
            ),
            Value(
                f"max_pool2d_stride{stride}_pad{pad}",
                "layers/max_pool2d",
                {"X": images},
                f"[out, Hout, Wout] = it::forward(X, {geometry})",
                {"out": pooling(images, shape, stride, pad)},
            ),
        ]
    return values


def optimizers() -> list[Value]:
    X, G, s, v = normal(3, 2), normal(3, 2), np.abs(normal(3, 2)), normal(3, 2)
    grown, mixed = s + G**2, 0.8 * s + 0.2 * G**2
    moved = 0.9 * v - 0.1 * G
    m, u = 0.9 * v + 0.1 * G, 0.99 * s + 0.01 * G**2
    rate = 0.1 * np.sqrt(1 - 0.99**3) / (1 - 0.9**3)
    inputs = {"X": X, "G": G, "s": s, "v": v}
    return [
        Value("sgd", "optim/sgd", inputs, "X = it::update(X, G, 0.1)", {"X": X - 0.1 * G}),
        Value(
            "sgd_momentum",
            "optim/sgd_momentum",
            inputs,
            "[X, v] = it::update(X, G, 0.1, 0.9, v)",
            {"X": X + moved, "v": moved},
        ),
        Value(
            "sgd_nesterov",
            "optim/sgd_nesterov",
            inputs,
            "[X, v] = it::update(X, G, 0.1, 0.9, v)",
            {"X": X - 0.9 * v + 1.9 * moved, "v": moved},
        ),
        Value(
            "adagrad",
            "optim/adagrad",
            inputs,
            "[X, s] = it::update(X, G, 0.1, 1e-6, s)",
            {"X": X - 0.1 * G / (np.sqrt(grown) + 1e-6), "s": grown},
        ),
        Value(
            "rmsprop",
            "optim/rmsprop",
            inputs,
            "[X, s] = it::update(X, G, 0.1, 0.8, 1e-6, s)",
            {"X": X - 0.1 * G / (np.sqrt(mixed) + 1e-6), "s": mixed},
        ),
        Value(
            "adam",
            "optim/adam",
            inputs,
            "[X, v, s] = it::update(X, G, 0.1, 0.9, 0.99, 1e-6, 2, v, s)",
            {"X": X - rate * m / (np.sqrt(u) + 1e-6), "v": m, "s": u},
        ),
    ]


def shared() -> list[Value]:
    X = normal(2, 12)
    image = X.reshape(2, 3, 4)
    ranked = np.argsort(-X, axis=1)[:, :3]
    pixels = image.transpose(0, 2, 1)
    channels = np.argsort(-pixels, axis=2)[:, :, :2].transpose(0, 2, 1)
    return [
        Value(
            "channel_sums",
            "util",
            {"X": X},
            "out = it::channel_sums(X, 3, 2, 2)",
            {"out": image.sum(axis=(0, 2)).reshape(3, 1)},
        ),
        Value(
            "predict_class",
            "util",
            {"X": X},
            "out = it::predict_class(X, 3, 2, 2)",
            {"out": image.argmax(axis=1) + 1.0},
        ),
        Value(
            "pad_and_unpad",
            "util",
            {"X": X},
            "out = it::pad_image(X, 3, 4, 1, 2, 7)\nback = it::unpad_image(out, 3, 4, 1, 2)",
            {"out": padded(X.reshape(1, 2, 3, 4), 1, 2, 7).reshape(2, -1), "back": X},
        ),
        Value(
            "col2im_without_overlap",
            "util",
            {"X": X},
            'cols = it::im2col(X, 3, 4, 1, 2, 1, 2)\nout = it::col2im(cols, 2, 3, 4, 1, 2, 1, 2, "none")',
            {"out": X},
        ),
        Value("threshold", "util", {"X": X}, "out = it::threshold(X, 0.5)", {"out": (X > 0.5) * 1.0}),
        Value(
            "transpose_NCHW_to_CNHW",
            "util",
            {"X": X},
            "out = it::transpose_NCHW_to_CNHW(X, 3)",
            {"out": image.transpose(1, 0, 2).reshape(3, 8)},
        ),
        Value(
            "top_k",
            "util",
            {"X": X},
            "[values, indices] = it::top_k(X, 3)",
            {"values": np.take_along_axis(X, ranked, axis=1), "indices": ranked + 1.0},
        ),
        Value(
            "top_k2d",
            "util",
            {"X": X},
            "[values, indices] = it::top_k2d(X, 2, 3, 2, 2)",
            {
                "values": np.take_along_axis(image, channels, axis=1).reshape(2, 8),
                "indices": channels.reshape(2, 8) + 1.0,
            },
        ),
    ]


VALUES = layers() + optimizers() + shared()
