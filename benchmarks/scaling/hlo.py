"""What a program compiled by XLA computes and sends, from its text."""

import math
import re

# Bytes of the types that HLO names; of all others, 4.
_WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s64": 8, "f64": 8}
_COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
_PRODUCT = re.compile(
    r"\s*(?:ROOT )?%[\w.-]+ = (\w+\[[\d,]*\])\S* (dot|convolution)\((.*?)\)"
)


def products(text):
    """FLOP of the convolutions and matrix products in HLO, by their shapes.

    Of a convolution, those whose factor is no padding.
    """
    total = 0
    shapes = dict(re.findall(r"(%[\w.-]+) = (\w+\[[\d,]*\])", text))
    for line in text.splitlines():
        found = _PRODUCT.match(line)
        if not found:
            continue
        output, kind, operands = found.groups()
        names = re.findall(r"%[\w.-]+", operands)
        left, right = (_dimensions(shapes[name]) for name in names[:2])
        if kind == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line).group(
                1
            )
            depth = math.prod(
                left[int(axis)] for axis in axes.split(",") if axis
            )
            total += 2 * depth * math.prod(_dimensions(output))
        else:
            total += _of_convolution(line, left, right, _dimensions(output))
    return total


def _of_convolution(line, left, right, output):
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line).groups()
    window = dict(
        re.findall(r"(stride|pad|lhs_dilate|rhs_dilate)=([\dx_-]+)", line)
    )
    inside = 1
    for i, axis in enumerate("01"):
        stride, padding, dilation, spread = (
            window[name].split("x")[i] if name in window else default
            for name, default in (
                ("stride", "1"),
                ("pad", "0_0"),
                ("lhs_dilate", "1"),
                ("rhs_dilate", "1"),
            )
        )
        before = int(padding.split("_")[0])
        inside *= sum(
            _is_inside(
                place * int(stride) + tap * int(spread) - before,
                left[labels[0].index(axis)],
                int(dilation),
            )
            for place in range(output[labels[2].index(axis)])
            for tap in range(right[labels[1].index(axis)])
        )
    channels = right[labels[1].index("i")]
    others = output[labels[2].index("b")] * output[labels[2].index("f")]
    return 2 * channels * others * inside


def _is_inside(place, size, dilation):
    return 0 <= place <= (size - 1) * dilation and place % dilation == 0


def collectives(text):
    """Of each kind of collective in HLO: number, and bytes of results."""
    found = {}
    for line in text.splitlines():
        match = re.search(r" = (.*?) ([a-z-]+?)(?:-start)?\(", line)
        if match and match.group(2) in _COLLECTIVES:
            shapes = re.findall(r"\w+\[[\d,]*\]", match.group(1))
            size = sum(
                math.prod(_dimensions(s)) * _WIDTHS.get(s.split("[")[0], 4)
                for s in shapes
            )
            count, total = found.get(match.group(2), (0, 0))
            found[match.group(2)] = (count + 1, total + size)
    return found


def _dimensions(shape):
    return [int(x) for x in shape.split("[")[1].rstrip("]").split(",") if x]
