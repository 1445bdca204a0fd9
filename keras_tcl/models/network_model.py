"""A network at work: what it says at every latency, and its ways out."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks, graph, inference, inputs
from keras_tcl.distribution import replicas
from keras_tcl.graph import LOGITS, check_network
from keras_tcl.inference import latency
from keras_tcl.inference.calibration import calibrate
from keras_tcl.inference.readout import Readout
from keras_tcl.layers import DirectEncoding, PixelNormalization
from keras_tcl.models import presets
from keras_tcl.models.network import dtype_policy_of
from keras_tcl.training.staged import StagedModel


class NetworkModel(StagedModel):
    """What `keras_tcl.TCLModel` does with its network besides training it.

    Args:
        network: Functional `keras.Model` from raw images or event frames to
            `{stage name: [batch, T, h, w, c], ..., "logits":
            [batch, T, classes]}`.
        value_range: Pair of numbers, the least and the greatest value of a
            pixel, or `None` for that of the network.
        dtype: Dtype policy, which must be that of the network's neurons.
            Defaults to it.
        **kwargs: As for `keras.Model`.
    """

    def __init__(
        self,
        network: keras.Model,
        value_range: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        network = check_network(network)
        super().__init__(dtype=dtype_policy_of(network, dtype), **kwargs)
        self.network = network
        if value_range is None:
            value_range = (0, 255)
            for layer in graph.layers(network, PixelNormalization):
                value_range = layer.value_range
        self.value_range = checks.value_range(value_range)
        # Found once: each walk leaves a node at the network's tensors.
        encodings = graph.layers(network, DirectEncoding)
        self._encodings = lambda: encodings
        self._compiled_timesteps = self._timesteps_of_encodings()
        self._step_logits = Readout(self.network, latency.step_logits)
        # Made when it is asked for, and no attribute that Keras would save.
        self._layer = functools.cache(lambda: _layer_of(self))

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, keras.KerasTensor):
            return super().__call__(x, *args, **kwargs)
        inputs.check_sample_shape(x.shape[1:], self.sample_shape)
        return self._layer()(x, *args, **kwargs)

    @property
    def input(self) -> Any:
        """Symbolic input of the network, raw images or event frames."""
        return self.network.input

    @property
    def inputs(self) -> list[Any]:
        """Symbolic inputs, of which there is one."""
        return self.network.inputs

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch, `(None, H, W, C)` or `(None, T, H, W, C)`."""
        return self.network.input_shape

    @functools.cached_property
    def output(self) -> Any:
        """Symbolic mean logits `[batch, classes]` of `input`."""
        logits = self.network.output[LOGITS]
        return ops.mean(ops.cast(logits, "float32"), axis=1)

    @property
    def outputs(self) -> list[Any]:
        """Symbolic outputs, of which there is one."""
        return [self.output]

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of what the model returns, `(None, classes)`."""
        return tuple(self.output.shape)

    def get_layer(
        self, name: str | None = None, index: int | None = None
    ) -> Any:
        """Returns a layer by its name, also one of the network's."""
        within = [*self.network.layers, *graph.layers(self.network)]
        for layer in within if index is None and name is not None else ():
            if layer.name == name and isinstance(layer, keras.layers.Layer):
                return layer
        try:
            return super().get_layer(name, index)
        except ValueError as error:
            names = [layer.name for layer in self.network.layers]
            raise ValueError(f"{error} Its network has {names}.") from None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.network.output[LOGITS].shape[-1]

    @property
    def stages(self) -> dict[str, Any]:
        """Symbolic `{stage name: [batch, T, h, w, c]}`, first to last."""
        outputs = graph.outputs(self.network)
        return {k: v for k, v in outputs.items() if k != LOGITS}

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, `(H, W, C)` or `(T, H, W, C)`."""
        return tuple(self.network.inputs[0].shape[1:])

    @property
    def takes_events(self) -> bool:
        """Whether a sample is a recording's event frames."""
        return len(self.sample_shape) == 4

    @property
    def timesteps(self) -> int | None:
        """Number of time steps T that a still image is shown.

        May be set at any time: fewer steps are faster, more are usually more
        accurate. `None` for event frames, which bring their own T. What is
        compiled for one T is kept, and taken up again with it.
        """
        layers = self._encodings()
        return layers[0].timesteps if layers else None

    @timesteps.setter
    def timesteps(self, value: int) -> None:
        layers = self._encodings()
        if not layers:
            raise ValueError(
                "`timesteps` of a model for event frames cannot be set: T is "
                "the number of frames in the data. Give it recordings with "
                f"another number of frames. Received: timesteps={value!r}."
            )
        before = self._timesteps_of_encodings()
        for layer in layers:
            layer.timesteps = value
        now = self._timesteps_of_encodings()
        if before == self._compiled_timesteps:
            mixed = self.stage_timesteps
            self._exchange_compiled_functions((before, mixed), (now, mixed))
        else:  # A layer's T was set by itself, maybe in another model.
            self._forget_compiled_functions()
        self._compiled_timesteps = now
        # The network may have been asked by itself.
        self.network.predict_function = self.network.test_function = None

    def predict_timesteps(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0
    ) -> np.ndarray:
        """Logits of every single time step.

        Args:
            x: Images or event frames, or a data set of them.
            batch_size: Integer, as for `predict`.
            verbose: As for `predict`.

        Returns:
            Array `[samples, T, classes]`. The prediction at a latency of t
            steps is the mean of the first t; over all T it is `predict(x)`.
        """
        x = inputs.one_input(x)
        self.check_data(x)
        return self._step_logits.predict(x, batch_size, verbose)

    def evaluate_timesteps(
        self, x: Any, y: Any = None, batch_size: int | None = None
    ) -> np.ndarray:
        """Accuracy at every latency, from one pass over the data.

        This is the accuracy the model would have with `timesteps` set to 1,
        2, ..., T: in inference, no step depends on how many follow.

        Args:
            x: Images or event frames, or a data set of `(x, y)` batches.
            y: Labels, integer or one-hot; left out for a data set.
            batch_size: Integer, as for `predict`.

        Returns:
            Array `[T]` of fractions between 0 and 1.
        """
        x = inputs.one_input(x)
        if y is None and inputs.is_array(x):
            raise ValueError(
                "Labels are missing: `evaluate_timesteps` needs `y`, or a data "
                "set of `(x, y)` batches."
            )
        self.check_data(x)
        return latency.evaluate_timesteps(self._step_logits, x, y, batch_size)

    def calibrate(
        self,
        x: Any,
        batch_size: int | None = None,
        batches: int | None = None,
    ) -> None:
        """Estimates the statistics of the batch normalizations anew.

        For the latency that the model is to run at:

        ```python
        model.timesteps = 1
        model.calibrate(train)
        ```

        Training leaves a moving average over its last batches, augmented, at
        the T of the training. Here, a normalization gets mean and variance of
        all values that it is given in one pass over the data, whatever their
        order; all else is as in `predict`. In this pass, each batch is
        normalized by its own statistics, as in training, so large batches
        serve best. Nothing else changes, and nothing at all if the data fail.

        Args:
            x: Images or event frames, or a data set of them (labels in it are
                ignored), mostly those of the training.
            batch_size: Integer, as for `predict`.
            batches: Integer, the number of batches that are enough. Defaults
                to all.

        Raises:
            ValueError: If the network has no batch normalization, or an
                argument or the data does not fit.
        """
        x = inputs.one_input(x)
        self.check_data(x)
        replicas.check_whole(x, "A calibration")
        with self._alone():
            calibrate(self.network, x, self.check_data, batch_size, batches)

    def inference_model(
        self, timesteps: int | None = None, dtype: str | None = None
    ) -> keras.Model:
        """A plain functional model of what inference needs.

        From raw images or event frames to the mean logits
        `[batch, classes]`, with this model's weights (shared, not copied) and
        T as it is set; no projection heads, no augmentation.

        Args:
            timesteps: Integer, T of event frames. Defaults to the T the
                network was drawn with. Not for image models, where the
                `timesteps` of the model counts.
            dtype: String, data type of the input. Defaults to the network's.
        """
        return inference.inference_model(self.network, timesteps, dtype)

    def export(
        self,
        filepath: Any,
        format: str | None = None,
        timesteps: int | None = None,
        dtype: str | None = None,
        verbose: bool = False,
        **kwargs: Any,
    ) -> None:
        """Writes `inference_model(timesteps)` for another runtime.

        Args:
            filepath: Path of the file, or of the folder of a SavedModel.
            format: `"onnx"`, `"tf_saved_model"`, `"litert"`, `"torch"` or
                `"openvino"`. Defaults to what the name ends with.
            timesteps: Integer, T of event frames.
            dtype: String, data type of the input. Defaults to `"uint8"` for
                images of pixels from 0 to 255, else to the network's.
            verbose: Boolean, whether to print where the file is.
            **kwargs: As for `keras_tcl.inference.export`.

        Raises:
            ValueError: If this backend cannot write the format; the message
                says which way does.
            ImportError: If a converter is not installed.
        """
        inference.export(
            self.network,
            filepath,
            format,
            timesteps,
            dtype,
            verbose,
            **kwargs,
        )

    def streaming(self) -> keras.Model:
        """One time step as a `keras.Model` with explicit state.

        See `keras_tcl.inference.step_model`, and `initial_state` beside it.
        """
        return inference.step_model(self.network)

    def stream(self) -> inference.Stream:
        """A session for frames that arrive one after the other.

        ```python
        session = model.stream()
        for frame in camera:
            logits = session(frame)  # of all frames so far
        ```
        """
        return inference.Stream(self.network)

    def save_to_preset(self, folder: Any, metadata: Any = None) -> None:
        """Writes what others need to start from this model, into a folder.

        `config.json`, `metadata.json`, `model.weights.h5`, and a model card
        `README.md` where there is none. Weights and settings of the network
        are kept; projection heads, loss and optimizer are not.

        Args:
            folder: Path of the folder, made if need be.
            metadata: Dictionary of what can be JSON, to be told in
                `metadata.json` and the card; see
                `keras_tcl.models.model_card`. Defaults to `None`.

        Raises:
            ValueError: If a class in the model is neither Keras' nor
                registered, or is a Lambda. Nothing is written.
        """
        presets.save_preset(self, folder, metadata)

    @classmethod
    def from_preset(cls, preset: Any, load_weights: bool = True) -> Any:
        """Returns a trained model, ready to predict or to be compiled.

        No code in the folder is run, and nothing is fetched.

        Args:
            preset: String, one of `keras_tcl.list_presets()`, or the path of
                a folder that `save_to_preset` wrote.
            load_weights: Boolean. If `False`, the network has random weights.
                Defaults to `True`.

        Raises:
            ValueError: If there is no such preset, a file of it is missing or
                damaged, or it needs a class that is not registered.

        Example:

        >>> model = keras_tcl.TCLModel.from_preset("digits")
        >>> model.input_shape, model.classes, model.timesteps
        ((None, 8, 8, 1), 10, 4)
        """
        return presets.load_preset(cls, preset, load_weights)

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """Prints the layers of the network, as `keras.Model.summary` does."""
        kwargs.setdefault("expand_nested", True)
        super().summary(*args, **kwargs)

    @contextlib.contextmanager
    def _pass_over(self, *args: Any) -> Iterator[None]:
        before, mixed = self.timesteps, self.stage_timesteps
        try:
            with super()._pass_over(*args):
                yield
        except BaseException:
            # A callback that has set another T is not told of the end.
            self.stage_timesteps = mixed
            if before is not None and self.timesteps != before:
                self.timesteps = before
            raise

    def _timesteps_of_encodings(self) -> tuple[int, ...]:
        return tuple(layer.timesteps for layer in self._encodings())


def _layer_of(model: NetworkModel) -> keras.Model:
    """What a model is within another: plain, from pixels to mean logits."""
    layer = keras.Model(model.input, model.output, name=model.name)
    # The graph was drawn with one T and runs with any other.
    layer.input_spec = keras.InputSpec(ndim=len(model.input_shape))
    return layer
