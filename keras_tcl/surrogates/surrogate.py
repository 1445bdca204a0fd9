"""The common base of the built-in surrogate derivatives."""

from typing import Any, SupportsFloat


class Surrogate:
    r"""A smooth stand-in for the derivative of the step function.

    A spiking neuron fires `s = step(v)` with `v = h - threshold`. The step's
    true derivative is zero almost everywhere, so the backward pass uses
    `ds/dv = surrogate(v)` instead. Every built-in surrogate is the derivative
    of a function that climbs from 0 to 1, so its area is 1: a wider one has a
    lower peak.

    Subclasses state, for their parameter:

    * `peak`: the largest value, reached at `v = 0`. A peak well below 1
      makes the gradient vanish with depth.
    * `width`: the full width at half of the peak, in the units of the
      potential.
    """

    peak: float
    width: float

    def __call__(self, v: Any) -> Any:
        """Return `ds/dv` at the float32 tensor `v = h - threshold`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Surrogate":
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (
            other.get_config() == self.get_config()
        )

    def __hash__(self) -> int:
        return hash((type(self), *sorted(self.get_config().items())))

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def positive(name: str, value: float) -> float:
    """Return `value` as a float, or raise a ValueError naming `name`."""
    if not isinstance(value, SupportsFloat) or not 0 < value < float("inf"):
        raise ValueError(
            f"`{name}` must be a finite number greater than 0. "
            f"Received: {name}={value!r}."
        )
    return float(value)
