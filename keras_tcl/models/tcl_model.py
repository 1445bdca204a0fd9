"""The model that trains a spiking backbone with a temporal loss."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import augmentation
from keras_tcl.layers import Classifier, DirectEncoding, ProjectionHead
from keras_tcl.losses import MeanCrossEntropy
from keras_tcl.losses.temporal_loss import TemporalLoss
from keras_tcl.models import input_checks
from keras_tcl.models.input_checks import INVALID_INPUTS, INVALID_LABELS
from keras_tcl.models.kept_state import KeptState
from keras_tcl.models.latency import batches_of, correct_by_latency
from keras_tcl.models.rematerialization import Parts, check_remat


@keras.saving.register_keras_serializable(package="keras_tcl")
class TCLModel(KeptState):
    """A spiking network that is trained over time steps and views.

    In training, the model shows the network as many augmented views of each
    sample as the compiled loss asks for, and hands the loss the logits of
    every view and time step and, if it wants them, the projected embeddings
    of the backbone's stages. In inference it returns logits averaged over the
    T time steps; augmentation and projection heads take no part.

    `fit`, `evaluate`, `predict`, `save` and callbacks are Keras' own. Any
    Keras loss can be compiled too; it sees the mean logits.

    The input is raw pixels: augmentation, rescaling and normalisation live in
    the model, so a saved model takes plain images.

    Args:
        backbone: `keras.Model` from images `(H, W, C)` or event frames
            `(T, H, W, C)` to a dictionary
            `{stage name: [batch, T, h, w, c]}`; the last name in
            alphabetical order is the stage that is classified.
        classes: Integer of at least 1, number of classes.
        classifier: Layer from the last stage `[batch, T, h, w, c]` to logits
            `[batch, T, classes]`. Defaults to global average pooling and a
            dense layer.
        augmenter: What changes a view at random: a recipe's name (see
            `keras_tcl.augmentation.list_recipes()`), a layer or function of a
            batch of images, or `None`. It sees raw pixels. `"auto"` (the
            default) is the paper's: `"cifar"` for losses of one view and
            `"cifar_stcl"` for losses of more, `"dvs"` for event frames.
        value_range: Pair of numbers, the least and the greatest value of a
            pixel. Ignored for event frames, which are counts and not
            rescaled. Defaults to `(0, 255)`.
        mean: Number, or one for each channel: mean of the pixels after
            rescaling to [0, 1]. Defaults to `0.5`.
        std: Number, or one for each channel: standard deviation of the pixels
            after rescaling to [0, 1]. Defaults to `0.25`.
        projection_dimension: Integer, size of an embedding. Defaults to
            `128`.
        embedding_stages: Sequence of stage names whose features are projected
            for a contrastive loss. Defaults to all ("deep contrastive
            supervision").
        weights: Path of a `.weights.h5` file, or `None`.
        **kwargs: `name` and `dtype`, as for any Keras model.

    Call arguments:
        inputs: Images `[batch, H, W, C]` or event frames
            `[batch, T, H, W, C]`; views of them `[batch, V, ...]`, which are
            augmented; or a tuple of views, each like a batch, which are used
            as they are.
        training: Boolean. If `False`, the result is logits
            `[batch, classes]`; if `True`, `{"logits": [batch, V, T, classes],
            "embeddings": {stage name: [batch, V, T, dimension]}}`.

    Raises:
        ValueError: If an argument or an input does not fit; see the message.

    Example:

    ```python
    model = keras_tcl.sew_resnet18(classes=10)
    model.compile("sgd", loss=keras_tcl.losses.STCL(), metrics=["accuracy"])
    model.fit(x_train, y_train)
    model.evaluate_timesteps(x_test, y_test)  # accuracy at T = 1, 2, 3, 4
    model.timesteps = 1
    model.predict(x_test)
    ```

    Reference:

    - [Qiu et al., 2023](https://arxiv.org/abs/2305.13909)
    """

    def __init__(
        self,
        backbone: keras.Model,
        classes: int,
        classifier: keras.layers.Layer | None = None,
        augmenter: Any = "auto",
        value_range: Sequence[float] = (0, 255),
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.25,
        projection_dimension: int = 128,
        embedding_stages: Sequence[str] | None = None,
        weights: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Raw pixels must not be rounded to half precision on their way in.
        super().__init__(autocast=False, **kwargs)
        if (
            isinstance(classes, bool)
            or not isinstance(classes, int)
            or (classes < 1)
        ):
            raise ValueError(
                "`classes` must be an integer of at least 1. "
                f"Received: classes={classes!r}."
            )
        stage_names = _stage_names(backbone)
        if embedding_stages is None:
            embedding_stages = stage_names
        unknown = sorted(set(embedding_stages) - set(stage_names))
        if unknown or not embedding_stages:
            raise ValueError(
                f"`embedding_stages` must name some of the backbone's stages "
                f"{stage_names}. Received: embedding_stages="
                f"{embedding_stages}."
            )
        self.classes = classes
        self.value_range = _check_value_range(value_range)
        self.mean = mean
        self.std = std
        self.projection_dimension = projection_dimension
        self.embedding_stages = list(embedding_stages)
        self._augmenter_identifier = augmenter

        self.backbone = backbone
        sample_shape = self.sample_shape
        self.takes_events = len(sample_shape) == 4
        if self.takes_events:
            # No weight depends on T: let the data bring its own.
            backbone.input_spec = keras.InputSpec(
                shape=(None, None, *sample_shape[1:])
            )
            self.rescaling = None
        else:
            self.rescaling = _rescaling(self.value_range, mean, std)
        self.view_augmenters = self._make_augmenters(augmenter)
        # Or Keras would run the network once to build them: op by op on JAX,
        # before the first `predict` or `evaluate`.
        for layer in (self.rescaling, *self.view_augmenters):
            if layer is not None and not layer.built:
                layer.build((None, *sample_shape))
        # float32: a mean over many spikes, and the logits, need the precision.
        self.classifier = classifier or Classifier(
            classes, dtype="float32", name="classifier"
        )
        if not self.classifier.built:
            self.classifier.build(self._classifier_input_shape())
        self.heads: dict[str, ProjectionHead] = {}
        self.component_trackers = {
            name: keras.metrics.Mean(name=f"{name}_loss")
            for name in ("classification", "contrastive")
        }
        self.invalid_inputs = keras.metrics.Sum(name=INVALID_INPUTS)
        self.invalid_labels = keras.metrics.Sum(name=INVALID_LABELS)
        self._last_timesteps: int | None = None
        self._remat: str | None = None
        self.built = True
        if weights is not None:
            self.load_weights(weights)

    # --- Shapes and time -------------------------------------------------

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, `(H, W, C)` or `(T, H, W, C)`."""
        return tuple(self.backbone.inputs[0].shape[1:])

    @property
    def timesteps(self) -> int | None:
        """Number of time steps T that a still image is shown.

        May be set at any time: fewer steps are faster, more are usually more
        accurate. `None` for event frames, which bring their own T.
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
        for layer in layers:
            layer.timesteps = value
        self._forget_compiled_functions()

    # --- Forward ---------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            # A tuple of views stands for its first one.
            x = inputs[0] if isinstance(inputs, (tuple, list)) else inputs
            return ops.mean(self.step_logits(x), axis=1)

        views = self._views(inputs)
        count = views.shape[1]
        x = ops.reshape(views, (-1, *views.shape[2:]))
        logits, stages = self._network(x, training=True)

        def unfold(t: Any) -> Any:
            return ops.reshape(t, (-1, count, *t.shape[1:]))

        embeddings = {}
        if self._wants_embeddings():
            for stage, head in self.heads.items():
                embeddings[stage] = unfold(head(stages[stage]))
        return {"logits": unfold(logits), "embeddings": embeddings}

    def step_logits(self, x: Any) -> Any:
        """Logits `[batch, T, classes]` of every time step, in inference.

        A sample with NaN or infinite values has NaN logits. (Spikes would
        hide it: `NaN >= threshold` is false.)
        """
        input_checks.check_sample_shape(x.shape[1:], self.sample_shape)
        logits, _ = self._network(
            input_checks.without_invalid(x), training=False
        )
        if "float" not in keras.backend.standardize_dtype(x.dtype):
            return logits
        axes = tuple(range(1, len(x.shape)))
        finite = ops.all(ops.isfinite(x), axis=axes)
        return ops.where(finite[:, None, None], logits, float("nan"))

    def _network(self, x: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        """Logits `[B, T, classes]` and features of the stages."""
        if self.rescaling is not None:
            x = self.rescaling(x)
        if training and self._remat:
            stages, losses = self._parts(self._remat).train(x)
            self.add_loss(losses)
        elif not training and keras.config.backend() == "torch":
            # What is compiled keeps no more than it needs by itself.
            stages = self._parts("block").infer(x)
        else:
            stages = self.backbone(x, training=training)
        features = stages[max(stages)]
        logits = self.classifier(features, training=training)
        return ops.cast(logits, "float32"), stages

    def _views(self, inputs: Any) -> Any:
        """Views `[B, V, ...]` in float32, augmented unless given as views."""
        if isinstance(inputs, (tuple, list)):
            for view in inputs:
                input_checks.check_sample_shape(
                    view.shape[1:], self.sample_shape
                )
            return input_checks.without_invalid(ops.stack(inputs, axis=1))
        if len(inputs.shape) == len(self.sample_shape) + 1:
            inputs = ops.expand_dims(inputs, 1)
        count, *shape = inputs.shape[1:]
        input_checks.check_sample_shape(shape, self.sample_shape)
        x = ops.reshape(inputs, (-1, *shape))
        x = input_checks.without_invalid(x)
        augmenter = self._augmenter(count)
        if augmenter is not None:
            x = augmenter(x, training=True)
        return ops.reshape(x, (-1, count, *shape))

    # --- Training --------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        remat: str | None = None,
    ) -> None:
        """Configures the model for training, as `keras.Model.compile` does.

        Args:
            optimizer: As for Keras.
            loss: A loss of `keras_tcl.losses`, or any Keras loss of logits.
                The strings `"sparse_categorical_crossentropy"` and
                `"categorical_crossentropy"` are understood to take logits.
            loss_weights: As for Keras.
            metrics: As for Keras.
            weighted_metrics: As for Keras.
            run_eagerly: As for Keras.
            steps_per_execution: As for Keras.
            jit_compile: As for Keras. Defaults to `"auto"`, which every
                backend that opens the saved model decides for itself.
            auto_scale_loss: As for Keras.
            remat: What training computes twice to keep less in memory
                (gradient checkpointing): `None` for nothing, `"stage"` or
                `"block"` for what lies within each of the backbone's stages
                or blocks, of which then only the input is kept. `"block"`
                keeps least. The results are the same; a step takes about a
                forward pass longer. Defaults to `None`.
        """
        check_remat(remat)
        super().compile(
            optimizer,
            _takes_logits(loss),
            loss_weights,
            metrics,
            weighted_metrics,
            run_eagerly,
            steps_per_execution,
            jit_compile,
            auto_scale_loss,
        )
        self._requested_jit_compile = jit_compile
        self._remat = remat
        wants_embeddings = self._wants_embeddings()
        if wants_embeddings and not self.heads:
            self._build_heads()
        for head in self.heads.values():
            head.trainable = wants_embeddings
        self._forget_compiled_functions()

    def get_compile_config(self) -> Any:
        config = _of_any_backend(super().get_compile_config())
        if config:
            # Keras would save what "auto" meant here: True on JAX, and
            # PyTorch would then try to compile for minutes.
            config["jit_compile"] = self._requested_jit_compile
            config["remat"] = self._remat
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras leaves a model with a `compile` of its own uncompiled.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def train_step(self, *args: Any) -> Any:
        # JAX passes (state, data), the others (data,). The step itself is
        # Keras' own: one written by hand would lose the loss scaling.
        *state, data = args
        return super().train_step(*state, self._with_views(data))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        loss = self.loss
        in_training = isinstance(y_pred, dict)
        if not isinstance(loss, TemporalLoss):
            logits = _mean_logits(y_pred)
            total = super().compute_loss(x, y, logits, sample_weight, training)
            return self._without_faults(total, x) if in_training else total

        if y is None:
            raise ValueError(
                "Labels are missing: the loss needs `y`. Received data of "
                "inputs alone."
            )
        if not self._compile_loss.built:
            # Never called, since it would pair labels with single outputs;
            # Keras asks whether it is built before every fit().
            self._compile_loss.build(y, _mean_logits(y_pred))
        if not in_training:
            # The classification of mean logits, whatever the loss, so that
            # the validation losses of different methods compare.
            loss = MeanCrossEntropy(reduction=loss.reduction)
            y_pred = {"logits": y_pred[:, None, None]}
            return loss.reduce(
                loss.total(loss.components(y, y_pred)), sample_weight
            )
        components = loss.components(y, y_pred)
        invalid_labels = ops.isnan(components["classification"]) & ops.all(
            ops.isfinite(y_pred["logits"]), axis=(1, 2, 3)
        )
        for name, values in components.items():
            self.component_trackers[name].update_state(values, sample_weight)
        total = loss.reduce(loss.total(components), sample_weight)
        for extra in self.losses:
            total = total + ops.sum(extra)
        return self._without_faults(
            total, x, ops.sum(ops.cast(invalid_labels, "float32"))
        )

    def _without_faults(self, total: Any, x: Any, labels: Any = 0.0) -> Any:
        """Count invalid samples; a loss of 0, so no gradient, if any."""
        inputs = sum(
            input_checks.count_invalid(v)
            for v in (x if isinstance(x, (tuple, list)) else (x,))
        )
        self.invalid_inputs.update_state(inputs)
        self.invalid_labels.update_state(labels)
        return ops.where(inputs + labels > 0, 0.0, total)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        results = super().compute_metrics(
            x, y, _mean_logits(y_pred), sample_weight
        )
        for name in self._idle_metrics(in_training=isinstance(y_pred, dict)):
            results.pop(name, None)
        return results

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains the model, as `keras.Model.fit` does.

        Arrays are checked for NaN, infinite values and labels outside the
        classes before the first step; so is each batch of a data set.
        """
        self._check_data(x, y)
        if hasattr(x, "element_spec"):
            # Keras would warn that it cannot shuffle a tf.data.Dataset.
            kwargs.setdefault("shuffle", False)
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            self._check_data(*validation[:2])
        guard = input_checks.InputGuard()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(guard)
        else:
            callbacks = callbacks if callbacks is not None else []
            if not isinstance(callbacks, (list, tuple)):
                callbacks = [callbacks]
            callbacks = [guard, *callbacks]
        return super().fit(
            x, y, batch_size, epochs, verbose, callbacks, **kwargs
        )

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Returns loss and metrics, as `keras.Model.evaluate` does."""
        self._check_data(x, y)
        results = super().evaluate(x, y, *args, **kwargs)
        return keras.tree.map_structure(float, results)  # PyTorch's: tensors.

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns logits averaged over time, as `keras.Model.predict` does."""
        self._check_data(x)
        return super().predict(x, *args, **kwargs)

    def train_on_batch(
        self, *args: Any, return_dict: bool = False, **kwargs: Any
    ) -> Any:
        """Runs one training step, as `keras.Model.train_on_batch` does."""
        logs = super().train_on_batch(*args, return_dict=True, **kwargs)
        input_checks.raise_if_invalid(logs, "of this batch")
        logs = {name: float(value) for name, value in logs.items()}
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]

    # --- Latency ---------------------------------------------------------

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
        self._check_data(x)
        return self._timestep_model().predict(
            x, batch_size=batch_size, verbose=verbose
        )

    def evaluate_timesteps(
        self, x: Any, y: Any = None, batch_size: int | None = None
    ) -> np.ndarray:
        """Accuracy at every latency, from one pass over the data.

        A network in inference is causal: what it does in the first t steps
        does not depend on how many follow. So this is the accuracy the model
        would have with `timesteps` set to 1, 2, ..., T.

        Args:
            x: Images or event frames, or a data set of `(x, y)` batches.
            y: Labels, integer or one-hot; left out for a data set.
            batch_size: Integer, as for `predict`.

        Returns:
            Array `[T]` of fractions between 0 and 1.
        """
        if y is not None:
            batches: Iterable = [
                (self.predict_timesteps(x, batch_size=batch_size), y)
            ]
        else:
            model = self._timestep_model()
            batches = ((model.predict_on_batch(x), y) for x, y in batches_of(x))
        correct, total = np.zeros(1), 0
        for logits, labels in batches:
            correct = correct + correct_by_latency(logits, labels)
            total += len(logits)
        if not total:
            raise ValueError("The data set is empty: there is no accuracy.")
        return correct / total

    def inference_model(self, timesteps: int | None = None) -> keras.Model:
        """A plain functional model of what inference needs.

        Rescaling, backbone and classifier, with this model's weights (shared,
        not copied); no projection heads, no augmentation. Made for `save`
        and `export`.

        Args:
            timesteps: Integer, T of the event frames. Defaults to the T the
                network was built with. Not for image models, where the
                `timesteps` of the model counts.

        Returns:
            `keras.Model` from raw images or event frames to logits
            `[batch, classes]`.
        """
        shape = self.sample_shape
        if timesteps is not None:
            if not self.takes_events:
                raise ValueError(
                    "`timesteps` is for event frames. For images, set "
                    "`model.timesteps` before. Received: "
                    f"timesteps={timesteps}."
                )
            shape = (timesteps, *shape[1:])
        x = inputs = keras.Input(shape, name="inputs")
        if self.rescaling is not None:
            x = self.rescaling(x)
        stages = self.backbone(x)
        logits = self.classifier(stages[max(stages)])
        mean = keras.layers.GlobalAveragePooling1D(
            data_format="channels_last", dtype="float32", name="mean_over_time"
        )
        return keras.Model(inputs, mean(logits), name=self.name)

    # --- Saving ----------------------------------------------------------

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights, as `keras.Model.load_weights` does, or none at all.

        Raises:
            ValueError: If the file is damaged or belongs to another network;
                the weights are then what they were before.
        """
        before = [ops.convert_to_numpy(v.value).copy() for v in self.variables]
        try:
            super().load_weights(filepath, *args, **kwargs)
        except Exception as error:
            for variable, value in zip(self.variables, before, strict=True):
                variable.assign(value)
            raise ValueError(
                f"The weights in {str(filepath)!r} do not fit this model, or "
                "the file is damaged. Nothing was loaded. Build the model as "
                "it was when the file was written (classes, stages, widths, "
                "compiled loss), or write the file again. Keras said: "
                f"{error}"
            ) from error

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        augmenter = self._augmenter_identifier
        if augmenter is not None and not isinstance(augmenter, str):
            augmenter = serialize(self.view_augmenters[0])
        config = {
            "backbone": serialize(self.backbone),
            "classes": self.classes,
            "classifier": serialize(self.classifier),
            "augmenter": augmenter,
            "value_range": list(self.value_range),
            "mean": self.mean,
            "std": self.std,
            "projection_dimension": self.projection_dimension,
            "embedding_stages": list(self.embedding_stages),
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "TCLModel":
        config = dict(config)
        for key in ("backbone", "classifier", "augmenter"):
            if isinstance(config[key], dict):
                config[key] = keras.saving.deserialize_keras_object(
                    config[key], custom_objects=custom_objects
                )
        config.pop("trainable", None)
        return cls(**config)

    # --- Private ---------------------------------------------------------

    def _encodings(self) -> list[DirectEncoding]:
        return [
            layer
            for layer in self.backbone.layers
            if isinstance(layer, DirectEncoding)
        ]

    def _classifier_input_shape(self) -> tuple[int | None, ...]:
        stages = self.backbone.output
        return tuple(stages[max(stages)].shape)

    def _make_augmenters(self, identifier: Any) -> list[Any]:
        """Augmenters for one view, and for each of several."""
        names = [identifier]
        if identifier == "auto":
            names = ["dvs"] if self.takes_events else ["cifar", "cifar_stcl"]
        augmenters = [
            augmentation.get(name, self.sample_shape, self.value_range)
            for name in names
        ]
        return [a for a in augmenters if a is not None]

    def _augmenter(self, views: int) -> Any:
        if not self.view_augmenters:
            return None
        return self.view_augmenters[0 if views == 1 else -1]

    def _idle_metrics(self, in_training: bool) -> list[str]:
        """Names of the model's own metrics that have nothing to report."""
        if not in_training:
            return [
                INVALID_INPUTS,
                INVALID_LABELS,
                "classification_loss",
                "contrastive_loss",
            ]
        if not isinstance(self.loss, TemporalLoss):
            return ["classification_loss", "contrastive_loss"]
        return [] if self.loss.needs_embeddings else ["contrastive_loss"]

    def _wants_embeddings(self) -> bool:
        loss = getattr(self, "loss", None)
        return isinstance(loss, TemporalLoss) and loss.needs_embeddings

    def _build_heads(self) -> None:
        shapes = {k: v.shape for k, v in self.backbone.output.items()}
        heads = {}
        for stage in self.embedding_stages:
            heads[stage] = ProjectionHead(
                self.projection_dimension, name=f"{stage}_projection"
            )
            heads[stage].build(tuple(shapes[stage]))
        self.heads = heads

    def _forget_compiled_functions(self) -> None:
        self.train_function = None
        self.test_function = None
        self.predict_function = None
        self.__dict__.pop("_hidden_timestep_model", None)
        self.__dict__.pop("_hidden_parts", None)

    def _parts(self, cut: str) -> Parts:
        parts = self.__dict__.setdefault("_hidden_parts", {})
        if cut not in parts:
            parts[cut] = Parts(self.backbone, cut)
        return parts[cut]

    def _timestep_model(self) -> "_TimestepModel":
        # Kept from Keras' tracking, which would save the weights twice.
        if "_hidden_timestep_model" not in self.__dict__:
            self.__dict__["_hidden_timestep_model"] = _TimestepModel(self)
        return self.__dict__["_hidden_timestep_model"]

    def _with_views(self, data: Any) -> Any:
        """Give the inputs of a training batch the views the loss asks for."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._check_views(x)
        if isinstance(x, (tuple, list)):
            x = tuple(x)
        else:
            views = getattr(self.loss, "views", 1)
            x = ops.repeat(ops.expand_dims(x, 1), views, axis=1)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _check_views(self, x: Any) -> None:
        """Compare the views in training data with those the loss asks for."""
        views = getattr(self.loss, "views", 1)
        if isinstance(x, (tuple, list)):
            shapes = [tuple(view.shape) for view in x]
            if len(x) != views or len(set(shapes)) != 1:
                raise ValueError(
                    f"The loss {self.loss!r} wants {views} view(s) of each "
                    f"sample. Received a tuple of views of shapes {shapes}: "
                    "their number must agree with the loss, and their shapes "
                    "with each other."
                )
        elif views > 1 and self._augmenter(views) is None:
            raise ValueError(
                f"The loss {self.loss!r} compares {views} views of each "
                "sample, but the data has one and the model has no augmenter "
                "to make others from it. Build the model with "
                '`augmenter="auto"` or another, or give the views as data: '
                "`((x1, x2), y)`."
            )

    def _check_data(self, x: Any, y: Any = None) -> None:
        views = x if isinstance(x, (tuple, list)) else (x,)
        value_range = None if self.takes_events else self.value_range
        input_checks.check_arrays(views, value_range)
        for view in views:
            if input_checks.is_array(view) and len(view.shape) > 1:
                input_checks.check_sample_shape(
                    view.shape[1:], self.sample_shape
                )
        if self.takes_events:
            self._follow_timesteps(views[0])
        loss = getattr(self, "loss", None)
        if isinstance(loss, TemporalLoss) and input_checks.is_array(y):
            loss.validate_labels(y, self.classes)

    def _follow_timesteps(self, x: Any) -> None:
        """Compile anew when recordings have another T than the last ones.

        TensorFlow would trace a second T as an unknown one, which no neuron
        can unroll.
        """
        for spec in keras.tree.flatten(getattr(x, "element_spec", x))[:1]:
            shape = getattr(spec, "shape", None)
            if shape is None or len(shape) != 5:
                continue
            if shape[1] != self._last_timesteps:
                self._forget_compiled_functions()
            self._last_timesteps = shape[1]


class _TimestepModel(KeptState):
    """Predicts the logits of every time step with another model's weights."""

    def __init__(self, model: TCLModel) -> None:
        super().__init__(autocast=False, name="timestep_model")
        # The variables, without the model that would track this one in turn.
        self.parts = [model.backbone, model.classifier]
        self.step_logits = model.step_logits
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = inputs[0] if isinstance(inputs, (tuple, list)) else inputs
        return self.step_logits(x)


def _of_any_backend(config: Any) -> Any:
    """A config in which PyTorch's own optimizers are those of any backend.

    Keras writes `keras.optimizers.Adam` under PyTorch as a class that exists
    there alone, and a model saved so does not train under another backend.
    """
    if isinstance(config, dict):
        config = {key: _of_any_backend(value) for key, value in config.items()}
        if str(config.get("module")).startswith("keras.src.backend.torch.opt"):
            config["module"] = "keras.optimizers"
            config["registered_name"] = None
        return config
    if isinstance(config, (list, tuple)):
        return [_of_any_backend(value) for value in config]
    return config


def _mean_logits(y_pred: Any) -> Any:
    """Mean over views and time of what `call` returned."""
    if isinstance(y_pred, dict):
        return ops.mean(y_pred["logits"], axis=(1, 2))
    return y_pred


def _takes_logits(loss: Any) -> Any:
    """Make sure that a Keras cross entropy treats the output as logits."""
    from_logits = {
        "sparse_categorical_crossentropy": (
            keras.losses.SparseCategoricalCrossentropy
        ),
        "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    }
    if isinstance(loss, str) and loss in from_logits:
        return from_logits[loss](from_logits=True)
    if getattr(loss, "from_logits", True) is False:
        raise ValueError(
            "The model returns logits, but this loss takes probabilities. "
            f"Use `{type(loss).__name__}(from_logits=True)`. Received: "
            f"loss={loss!r} with from_logits=False."
        )
    return loss


def _rescaling(
    value_range: tuple[float, float], mean: Any, std: Any
) -> keras.layers.Layer:
    """Pixels to `((x - low) / (high - low) - mean) / std`."""
    low, high = value_range
    try:
        means = np.asarray(mean, "float64")
        with np.errstate(divide="ignore"):
            scales = 1.0 / ((high - low) * np.asarray(std, "float64"))
        good = bool(np.isfinite(means).all() and (scales > 0).all())
    except (TypeError, ValueError, ZeroDivisionError):
        good = False
    if not good or not np.isfinite(scales).all():
        raise ValueError(
            "`mean` and `std` must be numbers, or one number for each channel, "
            "of pixels rescaled to [0, 1]; `std` greater than 0. Received: "
            f"mean={mean}, std={std}."
        )
    offsets = -(low * scales) - means * scales * (high - low)
    return keras.layers.Rescaling(
        scales.tolist(), offsets.tolist(), dtype="float32", name="rescaling"
    )


def _check_value_range(value_range: Any) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in value_range)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ValueError(
            "`value_range` must be a pair (least, greatest) of pixel values, "
            f"the first smaller. Received: value_range={value_range!r}."
        )
    return low, high


def _stage_names(backbone: Any) -> list[str]:
    output = getattr(backbone, "output", None)
    if (
        not isinstance(output, dict)
        or not output
        or any(len(t.shape) != 5 for t in output.values())
    ):
        raise ValueError(
            "`backbone` must be a functional `keras.Model` whose outputs are "
            "a dictionary {stage name: tensor [batch, T, h, w, c]}. "
            f"Received: backbone={backbone!r}."
        )
    return sorted(output)
