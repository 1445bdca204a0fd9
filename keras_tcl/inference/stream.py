"""A session in which frames arrive one after the other."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl.inference.streaming import NEXT, initial_state, step_model
from keras_tcl.kernels.compiled import compiled


class Stream:
    """Predicts after every frame, and remembers what it has seen.

    ```python
    session = keras_tcl.inference.Stream(model.network)
    for frame in camera:
        logits = session(frame)  # of all frames so far
    session.reset()  # before the next recording
    ```

    After t frames of a recording, the logits are those of the network for
    the first t frames. To a network for images, the same image may be shown
    again and again, or a new one at each step. The weights are the network's,
    as they are at each call. Frames are counted in float32: call `reset()`
    before 2**24 of them.

    Args:
        network: Functional `keras.Model` from images or event frames to a
            dictionary with the step-wise `"logits"` `[B, T, classes]`.

    Call arguments:
        frame: Image or event frame `[H, W, C]`, or a batch of them
            `[B, H, W, C]` from as many recordings.

    Returns:
        Mean logits of all steps so far, in NumPy: `[classes]`, or
        `[B, classes]` for a batch.

    Raises:
        ValueError: If the network cannot run step by step (see `step_model`),
            or a frame has another shape, another batch size than the ones
            before, or values that are not finite.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1], [8])
    >>> session = keras_tcl.inference.Stream(model.network)
    >>> for frame in np.zeros((3, 32, 32, 3)):
    ...     logits = session(frame)
    >>> session.steps, logits.shape
    (3, (10,))
    """

    def __init__(self, network: keras.Model) -> None:
        self._model = step_model(network)
        self._run = compiled(self._model)
        inputs = self._model.input["inputs"]
        self._shape, self._dtype = tuple(inputs.shape[1:]), inputs.dtype
        self.reset()

    def reset(self) -> None:
        """Forget all frames, so that another recording can begin."""
        self._state: dict[str, Any] = {}
        self._steps = 0

    @property
    def steps(self) -> int:
        """Number of frames since the beginning or the last `reset`."""
        return self._steps

    @property
    def state(self) -> dict[str, np.ndarray]:
        """States by name, as of `step_model`; empty before the first frame.

        Set it to go on with a recording in another session; `{}` resets.
        """
        return {k: ops.convert_to_numpy(v) for k, v in self._state.items()}

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        if not value:
            return self.reset()
        shapes = {name: np.shape(tensor) for name, tensor in value.items()}
        batch_size = next(iter(shapes.values()), (0,))[:1]
        expected = {
            name: (*batch_size, *tensor.shape[1:])
            for name, tensor in self._model.input.items()
            if name != "inputs"
        }
        if shapes != expected:
            raise ValueError(
                "The state is of another network, or not of one batch size. "
                f"Expected shapes: {expected}. Received: {shapes}. "
                "Take the `state` of a session of this network, or begin "
                "with `keras_tcl.inference.initial_state`."
            )
        self._state = {
            name: ops.convert_to_tensor(tensor, "float32")
            for name, tensor in value.items()
        }
        self._steps = int(np.max(value["steps"]))

    def __call__(self, frame: Any) -> np.ndarray:
        frame = np.asarray(ops.convert_to_numpy(frame))
        is_single = frame.shape == self._shape
        batch = frame[None] if is_single else frame
        self._check(batch)
        if not self._state:
            self._state = initial_state(self._model, len(batch))
        batch = ops.convert_to_tensor(batch.astype(self._dtype))
        outputs = self._run({"inputs": batch, **self._state})
        self._state = {name: outputs[f"{NEXT}{name}"] for name in self._state}
        self._steps += 1
        mean = ops.convert_to_numpy(outputs["mean"])
        return mean[0] if is_single else mean

    def _check(self, batch: np.ndarray) -> None:
        shape = self._shape
        if batch.shape[1:] != shape or not len(batch):
            raise ValueError(
                f"A frame is [H, W, C] = {shape}, and a batch of them "
                f"[B, H, W, C]. Received: an array of shape {batch.shape}."
            )
        if not np.issubdtype(batch.dtype, np.number):
            raise ValueError(
                "A frame is an array of numbers. Received: an array of "
                f"dtype {batch.dtype}."
            )
        if not np.isfinite(batch).all():
            raise ValueError(
                "The frame holds NaN or infinite values, which would stay in "
                "the neurons' states. Received: "
                f"{np.size(batch) - np.isfinite(batch).sum()} of them."
            )
        if self._state:
            expected = len(self._state["steps"])
            if len(batch) != expected:
                raise ValueError(
                    f"This session streams {expected} recording(s) at a time. "
                    f"Received: {len(batch)} frame(s). Call `reset()` first, "
                    "or make another `Stream`."
                )
