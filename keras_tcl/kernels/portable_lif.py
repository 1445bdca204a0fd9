r"""The multi-step leaky integrate-and-fire neuron, as pure functions.

Forward, for t = 1..T, starting from u = 0 (paper eq. 1-3):

    h_t = decay * u_{t-1} + x_t
    s_t = 1 if h_t >= threshold else 0
    u_t = h_t * (1 - s_t)           hard reset
    u_t = h_t - threshold * s_t     soft reset

Backward, for t = T..1, with sg_t = surrogate(h_t - threshold), gs_t the
gradient reaching s_t and gu_t the gradient reaching u_t from step t + 1:

    gh_t = gs_t * sg_t + gu_t * (1 - s_t) - gu_t * h_t * sg_t       hard
    gh_t = gs_t * sg_t + gu_t - gu_t * threshold * sg_t             soft
    gx_t = gh_t,  gu_{t-1} = decay * gh_t

The last term of gh_t is the gradient through the reset; `detach_reset` drops
it. Where the decay is learned, its gradient is sum_t gh_t * u_{t-1}. Only the
input is kept for the backward pass: the potentials are computed again from it,
which costs two operations a step and saves a float32 tensor of the input's
size (four bytes a neuron and step, whatever the input's dtype).
"""

from collections.abc import Callable
from typing import Any

from keras import ops

# Up to this many steps are unrolled, which lets a compiler fuse them. Beyond,
# the time loop is a scan, so that the size of the program, and the time to
# compile it, do not grow with T.
UNROLL_LIMIT = 16


def lif(
    x: Any,
    decay: Any,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> Any:
    """As `keras_tcl.kernels.lif`, on any backend and device."""
    learned = () if isinstance(decay, float) else (decay,)

    @ops.custom_gradient
    def spikes(x: Any, *learned: Any) -> Any:
        (factor,) = learned or (decay,)

        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:  # TensorFlow and JAX pass it by position.
                (upstream,) = args
            h = _potentials(x, factor, threshold, reset)
            gh = _gradients(
                h, upstream, factor, threshold, reset, detach_reset, surrogate
            )
            gx = _sequence(gh, x.dtype)
            if not learned:
                return gx
            return gx, _decay_gradient(h, gh, threshold, reset)

        return lif_forward(x, factor, threshold, reset), grad

    return spikes(x, *learned)


def lif_forward(x: Any, decay: Any, threshold: float, reset: str) -> Any:
    """As `keras_tcl.kernels.lif_forward`, on any backend and device."""
    h = _potentials(x, decay, threshold, reset)
    if isinstance(h, list):
        return _sequence([h_t >= threshold for h_t in h], x.dtype)
    return _sequence(h >= threshold, x.dtype)


def lif_step(
    x: Any, u: Any, decay: Any, threshold: float, reset: str
) -> tuple[Any, Any]:
    """Spikes and potential after one step."""
    h = decay * u + ops.cast(x, "float32")
    return ops.cast(h >= threshold, x.dtype), _after_reset(h, threshold, reset)


def _sequence(steps: Any, dtype: str) -> Any:
    """`[B, T, ...]` of T tensors `[B, ...]`, or of one `[T, B, ...]`."""
    if isinstance(steps, list):
        return ops.stack([ops.cast(step, dtype) for step in steps], axis=1)
    return ops.cast(swap_time_and_batch(steps), dtype)


def _after_reset(h: Any, threshold: float, reset: str) -> Any:
    fired = h >= threshold
    if reset == "hard":
        return ops.where(fired, 0.0, h)
    return ops.where(fired, h - threshold, h)


def _potentials(x: Any, decay: Any, threshold: float, reset: str) -> Any:
    """Return h before the reset: T tensors `[B, ...]`, or one `[T, B, ...]`."""

    def charge(u: Any, x_t: Any) -> Any:
        return decay * u + ops.cast(x_t, "float32")

    if x.shape[1] <= UNROLL_LIMIT:
        first, *rest = ops.unstack(x, axis=1)
        h = [ops.cast(first, "float32")]
        for x_t in rest:
            h.append(charge(_after_reset(h[-1], threshold, reset), x_t))
        return h

    def step(u: Any, x_t: Any) -> tuple[Any, Any]:
        h_t = charge(u, x_t)
        return _after_reset(h_t, threshold, reset), h_t

    x = swap_time_and_batch(x)
    _, h = ops.scan(step, ops.zeros_like(x[0], dtype="float32"), x)
    return h


def swap_time_and_batch(x: Any) -> Any:
    # Not `moveaxis` or `swapaxes`, which PyTorch cannot export to ONNX.
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))


def _gradients(
    h: Any,
    upstream: Any,
    decay: Any,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> Any:
    """Return gh, in the form of h."""

    def gradient(gh_next: Any, gs: Any, h: Any) -> Any:
        gs = ops.cast(gs, "float32")
        slope = surrogate(h - threshold)
        if gh_next is None:  # The last step: nothing follows it.
            return gs * slope
        gu = decay * gh_next
        if reset == "hard":
            through_spike = gs if detach_reset else gs - gu * h
            return through_spike * slope + ops.where(h >= threshold, 0.0, gu)
        through_spike = gs if detach_reset else gs - gu * threshold
        return through_spike * slope + gu

    if isinstance(h, list):
        gh: list[Any] = [None]
        for gs_t, h_t in zip(
            reversed(ops.unstack(upstream, axis=1)), reversed(h), strict=True
        ):
            gh.append(gradient(gh[-1], gs_t, h_t))
        return gh[:0:-1]

    def step(gh_next: Any, at_t: tuple[Any, Any]) -> tuple[Any, Any]:
        gh = gradient(gh_next, *at_t)
        return gh, gh

    _, gh_all = ops.scan(
        step,
        ops.zeros_like(h[0]),
        (swap_time_and_batch(upstream), h),
        reverse=True,
    )
    return gh_all


def _decay_gradient(h: Any, gh: Any, threshold: float, reset: str) -> Any:
    """Sum over neurons and steps of gh_t * u_{t-1}."""
    if isinstance(h, list):
        # Neuron by neuron first, so that a compiler fuses all but one sum.
        total = sum(
            gh_next * _after_reset(h_t, threshold, reset)
            for h_t, gh_next in zip(h, gh[1:], strict=False)
        )
        return ops.sum(ops.convert_to_tensor(total, "float32"))
    return ops.sum(gh[1:] * _after_reset(h[:-1], threshold, reset))
