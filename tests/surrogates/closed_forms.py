"""The surrogate derivatives in float64 NumPy, at their default parameters."""

import numpy as np


def triangle(v):
    return np.where(np.abs(v) < 1, 1 - np.abs(v), 0.0)


def atan(v):
    return 1 / (1 + np.square(np.pi * v))


def sigmoid(v):
    # 4 p (1 - p) with p = 1 / (1 + exp(-4 v)) is the square of 1 / cosh(2 v).
    with np.errstate(over="ignore"):
        return 1 / np.cosh(2 * v) ** 2


def rectangle(v):
    return np.where(np.abs(v) < 0.5, 1.0, 0.0)


BY_NAME = {
    "triangle": triangle,
    "atan": atan,
    "sigmoid": sigmoid,
    "rectangle": rectangle,
}
