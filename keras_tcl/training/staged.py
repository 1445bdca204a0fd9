"""A network in training, stage by stage."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import checks, graph
from keras_tcl.layers import DirectEncoding
from keras_tcl.training.remat import Remat
from keras_tcl.training.teachers import TaughtModel


class StagedModel(TaughtModel):
    """What a `keras_tcl.TCLModel` can do between the stages of its network.

    It recomputes them in the backward pass (`compile(remat=...)`), or runs
    each with a number of time steps of its own (`stage_timesteps`), or all of
    them on a part of the batch at a time (`compile(micro_batch_size=...)`).
    """

    network: keras.Model
    _remat: Remat | None = None
    _stages: "MixedTimesteps | None" = None
    _stage_timesteps: tuple[int, ...] | None = None
    _compiled_timesteps: tuple[int, ...] = ()

    @property
    def stage_timesteps(self) -> tuple[int, ...] | None:
        """T of each stage in training steps alone; `None` for one T of all.

        May be set at any time, to a sequence of one integer for each of the
        model's `stages`. Between two stages of different T, the second one's
        step is the mean of what the first gave in the same share of the time:
        steps are averaged or repeated. The logits have the T of the last
        stage. What is compiled for one setting is kept, and taken up again
        with it. `keras_tcl.callbacks.TimestepSchedule(..., per_stage=True)`
        draws one for each batch.
        """
        return self._stage_timesteps

    @stage_timesteps.setter
    def stage_timesteps(self, value: Sequence[int] | None) -> None:
        if value is not None:
            if self._stages is None:
                self._stages = MixedTimesteps(self.network)
            value = self._stages.checked(value)
        before, self._stage_timesteps = self._stage_timesteps, value
        if before != value:
            now = self._compiled_timesteps
            self._exchange_compiled_functions((now, before), (now, value))

    def _in_micro_batches(
        self, run: Callable[[Any], Any], x: Any, views: int
    ) -> Any:
        """What `run(x)` returns, by micro-batches if they are set."""
        if self._micro_batches is None:
            return run(x)
        outputs, losses = self._micro_batches(run, x, views)
        self.add_loss(losses)
        return outputs

    def _run_in_training(self, x: Any) -> dict[str, Any]:
        """What the network returns, by the way that is set."""
        if self._stages is not None and self._stage_timesteps is not None:
            if self._remat is not None:
                raise ValueError(
                    "`remat` recomputes stages of one T. Compile without it, "
                    "or set `model.stage_timesteps = None`. Received: "
                    f"stage_timesteps={self._stage_timesteps}."
                )
            return self._stages(x, self._stage_timesteps)
        if self._remat is not None:
            outputs, losses = self._remat(x)
            self.add_loss(losses)
            return outputs
        return graph.run(self.network, x, True)


class MixedTimesteps:
    """A network in training, each stage of which has a T of its own.

    Args:
        network: Functional `keras.Model` whose outputs are a dictionary of
            stages and logits.

    Reference:

    - [Du et al., 2025](https://arxiv.org/abs/2503.17394), mixed time step
      training; there, too, spikes are pooled or repeated between stages.
    """

    def __init__(self, network: keras.Model) -> None:
        self.stages = [k for k in graph.outputs(network) if k != graph.LOGITS]
        self.parts = list(graph.segments(network, lambda layer: False))
        ends = [last for _, last in self.parts if last != graph.UNNAMED]
        if ends != [*self.stages, None]:
            raise ValueError(
                "Stages can have time steps of their own where a single tensor "
                "connects each to the next, and the last one to the "
                f"classifier. This network has the stages {self.stages}, and "
                f"can be cut after {[end for end in ends if end]}."
            )

    def checked(self, timesteps: Any) -> tuple[int, ...]:
        """Return one T for each stage, or raise a ValueError."""
        is_list = isinstance(timesteps, (list, tuple))
        if (
            not is_list
            or not checks.are_integers(timesteps)
            or len(timesteps) != len(self.stages)
        ):
            raise ValueError(
                "`stage_timesteps` must be an integer of at least 1 for each "
                f"of the stages {self.stages}, or None. Received: "
                f"stage_timesteps={timesteps!r}."
            )
        return tuple(int(t) for t in timesteps)

    def __call__(self, x: Any, timesteps: tuple[int, ...]) -> dict[str, Any]:
        """What the network returns for images or event frames."""
        outputs: dict[str, Any] = {}
        of_parts = [*timesteps, timesteps[-1]]
        for (part, last), steps in zip(self.parts, of_parts, strict=True):
            if len(x.shape) == 5:
                x = resampled(x, steps)
            outputs.update(graph.run(part, x, True, _encoded(steps)))
            x = outputs[last] if last else None
        return outputs


def resampled(x: Any, timesteps: int) -> Any:
    """Another number of time steps of the same duration.

    Args:
        x: Tensor `[B, T, ...]`.
        timesteps: Integer T'.

    Returns:
        Tensor `[B, T', ...]`, of which step j is the mean of `x` over the
        time from j T / T' to (j + 1) T / T'. Means over time stay what they
        are.
    """
    given = x.shape[1]
    if given == timesteps:
        return x
    steps = []
    for j in range(timesteps):
        # In units of 1 / (T T'), so that the bounds are exact.
        start, end = j * given, (j + 1) * given
        shares = [
            (i, min(end, (i + 1) * timesteps) - max(start, i * timesteps))
            for i in range(given)
        ]
        parts = [
            x[:, i] if share == given else x[:, i] * (share / given)
            for i, share in shares
            if share > 0
        ]
        steps.append(sum(parts[1:], parts[0]))
    return ops.stack(steps, axis=1)


def _encoded(timesteps: int) -> graph.Visit:
    """The visit in training that shows a still image so many times."""
    visit = graph.called(True)

    def encode(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(layer, DirectEncoding):
            return visit(layer, *args, **kwargs)
        still = visit(layer, *args, **kwargs)[:, :1]
        shape = ops.shape(still)
        return ops.broadcast_to(still, (shape[0], timesteps, *shape[2:]))

    return encode
