"""The training of a spiking network with a temporal loss."""

import contextvars
import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import checks, graph, inputs
from keras_tcl.augmentation import recipes
from keras_tcl.graph import LOGITS
from keras_tcl.inference import latency
from keras_tcl.layers import Classifier, ProjectionHead
from keras_tcl.losses import TemporalLoss
from keras_tcl.models.heads import StageHeads, passed_by
from keras_tcl.models.network import classification_network
from keras_tcl.models.network_model import NetworkModel
from keras_tcl.models.step_data import (
    check_temporal_loss,
    check_views,
    mean_logits,
)
from keras_tcl.training.gradient_caching import in_micro_batches
from keras_tcl.training.guard import without_faults
from keras_tcl.training.keras_losses import loss_of_logits, metrics_of_logits
from keras_tcl.training.remat import Remat, check_remat

# Whether a temporal loss is to be evaluated. A model may be at work in several
# threads at once.
_evaluating = contextvars.ContextVar("evaluating", default=False)


@keras.saving.register_keras_serializable(package="keras_tcl")
class TCLModel(NetworkModel):
    """Trains a spiking network over time steps and views.

    In training, the network is shown as many augmented views of each sample
    as the compiled loss asks for; the loss gets the logits of every view and
    time step and, if it wants them, the projected embeddings of the network's
    stages. In inference, the model returns logits averaged over the T time
    steps; augmentation and projection heads take no part.

    `fit`, `evaluate`, `predict`, `save` and callbacks are Keras' own. Any
    Keras loss can be compiled too; it sees the mean logits.

    Args:
        network: Functional `keras.Model` from raw images `[batch, H, W, C]`
            or event frames `[batch, T, H, W, C]` to `{stage name:
            [batch, T, h, w, c], ..., "logits": [batch, T, classes]}`.
        classes: Integer, for a backbone whose outputs are stages alone:
            completes it by `classification_network(network, classes)`, which
            classifies the last one. Defaults to `None`.
        augmenter: What changes a view at random: a recipe's name (see
            `keras_tcl.augmentation.list_recipes()`), a layer or function of a
            batch of images, or `None`. It sees raw pixels. `"auto"` (the
            default) is `"cifar"`, or `"dvs"` for event frames: what is
            classified is best changed lightly, unless the training is long
            (benchmarks/defaults.md). The paper's for STCL is `"cifar_stcl"`.
        value_range: Pair of numbers, the least and the greatest value of a
            pixel. Ignored for event frames, which are counts. Defaults to
            that of the network's `keras_tcl.layers.PixelNormalization`, or to
            `(0, 255)`.
        projection_dimension: Integer, size of an embedding. Defaults to
            `128`.
        embedding_stages: Sequence of stage names whose features are projected
            for a contrastive loss, or `"all"` as in the paper. Defaults to
            the last two (benchmarks/defaults.md).
        weights: Path of a `.weights.h5` file, or `None`.
        skip_mismatch: Boolean, whether layers whose weights in the file have
            another shape keep their own, such as the classifier of another
            number of classes. Defaults to `False`.
        **kwargs: `name`, as for any Keras model, and `dtype`, the policy that
            the network was drawn with and that projection heads get, too.
            Defaults to that of its neurons.

    Call arguments:
        x: Images `[batch, H, W, C]` or event frames
            `[batch, T, H, W, C]`; or a tuple of views, each like a batch,
            which are used as they are.
        training: Boolean or `None`. If `False`, the result is logits
            `[batch, classes]`; if `None`, the same with a gradient; if `True`,
            `{"logits": [batch, V, T, classes], "embeddings": {stage name:
            [batch, V, T, dimension]}}`, and `"stage_logits"` and `"teacher"`
            where the loss reads them (see `keras_tcl.losses.TemporalLoss`).

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
        network: keras.Model,
        classes: int | None = None,
        augmenter: Any = "auto",
        value_range: Sequence[float] | None = None,
        projection_dimension: int = 128,
        embedding_stages: Sequence[str] | str | None = None,
        weights: str | None = None,
        skip_mismatch: bool = False,
        **kwargs: Any,
    ) -> None:
        if classes is not None:
            network = classification_network(
                network, classes, value_range=value_range or (0, 255)
            )
        # Raw pixels must not be rounded to half precision on their way in.
        super().__init__(network, value_range, autocast=False, **kwargs)
        self.projection_dimension = checks.integer(
            "projection_dimension", projection_dimension
        )
        names = list(self.stages)
        if embedding_stages is None:
            embedding_stages = names[-2:]
        elif isinstance(embedding_stages, str) and embedding_stages == "all":
            embedding_stages = names
        is_list = isinstance(embedding_stages, (list, tuple))
        if not is_list or any(name not in names for name in embedding_stages):
            raise ValueError(
                f"`embedding_stages` must name some of the network's stages "
                f"{names}. Received: embedding_stages={embedding_stages}."
            )
        self.embedding_stages = list(embedding_stages)
        self._augmenter_identifier = augmenter
        self.augmenter = recipes.for_network(
            augmenter, self.sample_shape, self.value_range
        )
        policy = self.dtype_policy
        head = functools.partial(
            ProjectionHead, self.projection_dimension, dtype=policy
        )
        self.heads = StageHeads("heads", "projection", head)
        head = functools.partial(Classifier, self.classes, dtype=policy)
        self.weak_classifiers = StageHeads(
            "weak_classifiers", "classifier", head
        )
        self._remat_choice: str | None = None
        self.built = True
        if weights is not None:
            self.load_weights(weights, skip_mismatch=skip_mismatch)

    # --- Views, network, loss -----------------------------------------------

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = inputs.one_input(x)
        if training or _evaluating.get():
            return self._outputs(x, bool(training))
        x = inputs.as_views(x)[0]
        if training is None:  # In a loop of one's own, it has a gradient.
            view, _ = self._one_view(x)
            outputs = graph.run(self.network, view, None, only=[LOGITS])
            logits = latency.with_invalid(outputs[LOGITS], self.network, x)
        else:
            logits = latency.step_logits(self.network, x)
        return ops.mean(logits, axis=1)

    def _outputs(self, x: Any, training: bool) -> dict[str, Any]:
        """What a temporal loss compares: of each view, stage and time step."""
        views, count = self._views(x) if training else self._one_view(x)

        def of_network(x: Any) -> dict[str, Any]:
            if training:
                outputs = self._run_in_training(x)
            else:
                outputs = graph.run(self.network, x, training)
            return {
                "logits": ops.cast(outputs[LOGITS], "float32"),
                "embeddings": self.heads.run(outputs),
                "stage_logits": self.weak_classifiers.run(outputs),
            }

        # First: what it keeps for a gradient, it forgets again.
        token = _evaluating.set(False)  # A teacher predicts.
        try:
            taught = self._taught(views, count)
        finally:
            _evaluating.reset(token)
        if training:
            outputs = self._in_micro_batches(of_network, views, count)
        else:
            outputs = of_network(views)
            first = inputs.as_views(x)[0]
            outputs["logits"] = latency.with_invalid(
                outputs["logits"], self.network, first
            )

        def unfold(x: Any) -> Any:
            return ops.reshape(x, (-1, count, *x.shape[1:]))

        return keras.tree.map_structure(unfold, {**outputs, **taught})

    def train_step(self, *args: Any) -> Any:
        # JAX passes (state, data), the others (data,). The step itself is
        # Keras' own: one written by hand would lose the loss scaling.
        *state, data = args
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        check_views(inputs.one_input(x), self.loss, self.augmenter is not None)
        return super().train_step(*state, data)

    def test_step(self, *args: Any) -> Any:
        # Keras' own step calls the model as `predict` does. For this loss, it
        # is to answer as in training.
        token = _evaluating.set(isinstance(self.loss, TemporalLoss))
        try:
            return super().test_step(*args)
        finally:
            _evaluating.reset(token)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        loss, x = self.loss, inputs.one_input(x)
        if y is None and loss is not None:
            raise ValueError(
                "Labels are missing: the loss needs `y`. Received data of "
                "inputs alone."
            )
        if not isinstance(loss, TemporalLoss):
            logits = mean_logits(y_pred)
            total = super().compute_loss(x, y, logits, sample_weight, training)
            return self._spared(total, x, y)
        total = 0.0
        for name, values in loss.terms(y, y_pred).items():
            term = loss.reduce(values, sample_weight)
            # Weighed as Keras weighs the loss of a batch in an epoch.
            size = ops.shape(inputs.as_views(x)[0])[0]
            self.terms.update_state(name, term * self._replicas, size)
            total = total + term
        for extra in self.losses:
            total = total + self._aggregate_additional_loss(extra)
        return self._spared(total, x, y)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        results = super().compute_metrics(
            x, y, mean_logits(y_pred), sample_weight
        )
        if _evaluating.get() or not isinstance(y_pred, dict):
            results = without_faults(results)
        return results

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *args: Any,
        remat: str | None = None,
        micro_batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures the model for training, as `keras.Model.compile` does.

        Args:
            optimizer: As for Keras.
            loss: A loss of `keras_tcl.losses`, or a sum of such, whose terms
                are shown each by its name; or any Keras loss of logits.
                A name, class or function of `keras.losses` is told that it
                gets logits.
            loss_weights: As for Keras, with a loss of Keras.
            metrics, weighted_metrics: As for Keras. They see logits; a cross
                entropy that is named or given as a function is told so.
            *args: As for Keras.
            remat: What training computes twice to keep less in memory
                (gradient checkpointing): `None` for nothing, `"stage"` or
                `"block"` for what lies within each of the network's stages
                or blocks, of which then only the input is kept. `"block"`
                keeps least. The results are the same; a step takes about a
                forward pass longer. Defaults to `None`.
            micro_batch_size: Integer, how many samples of a batch a training
                step takes through the network at a time (gradient caching).
                The loss is that of the whole batch; see
                `keras_tcl.training.gradient_caching`. Defaults to `None`, all
                of them.
            **kwargs: As for Keras: `jit_compile`, `run_eagerly`, ...

        Raises:
            ValueError: If the loss or a metric takes probabilities, or does
                not fit the network or the other arguments; see the message.
        """
        check_remat(remat)
        parts = self.network, self.heads, self.weak_classifiers
        micro_batches = in_micro_batches(micro_batch_size, parts)
        loss = loss_of_logits(loss)
        embedded, classified = [], []
        if isinstance(loss, TemporalLoss):
            check_temporal_loss(
                loss, loss_weights, self.sample_shape, self.classes
            )
            classified = loss.classified_stages(list(self.stages))
            embedded = self.embedding_stages if loss.needs_embeddings else []
            if loss.needs_embeddings and not embedded:
                raise ValueError(
                    f"The loss {loss.name!r} compares embeddings of stages, "
                    "and there are none: `embedding_stages` is empty, or the "
                    "network puts out nothing but logits."
                )
        shown = metrics_of_logits([metrics, weighted_metrics])
        super().compile(optimizer, loss, loss_weights, *shown, *args, **kwargs)
        self._remat_choice = remat
        self._remat = Remat(self.network, remat) if remat else None
        self._micro_batches = micro_batches
        self.heads.learn(embedded, self.stages)
        self.weak_classifiers.learn(classified, self.stages)
        self.terms.show(getattr(loss, "term_names", ()))
        if isinstance(loss, TemporalLoss):
            logits = keras.KerasTensor((None, self.classes))
            self._count_loss_as_built(keras.KerasTensor((None,)), logits)
        self._forget_compiled_functions()

    def get_compile_config(self) -> Any:
        config = super().get_compile_config()
        if config:
            config["remat"] = self._remat_choice
            size = getattr(self._micro_batches, "size", None)
            config["micro_batch_size"] = size
        return config

    # --- Data, saving, and what is private -------------------------------

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights, as `keras.Model.load_weights` does.

        Heads of stages that are not in the file stay as they are.
        """
        with passed_by(filepath, self.heads, self.weak_classifiers):
            super().load_weights(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        augmenter = self._augmenter_identifier
        if augmenter is not None and not isinstance(augmenter, str):
            augmenter = serialize(self.augmenter)
        config = {
            "network": serialize(self.network),
            "augmenter": augmenter,
            "value_range": list(self.value_range),
            "projection_dimension": self.projection_dimension,
            "embedding_stages": list(self.embedding_stages),
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "TCLModel":
        config = dict(config)
        for key in ("network", "augmenter"):
            if isinstance(config[key], dict):
                config[key] = keras.saving.deserialize_keras_object(
                    config[key], custom_objects=custom_objects
                )
        config.pop("trainable", None)
        return cls(**config)

    def _one_view(self, x: Any) -> tuple[Any, int]:
        """The first view, as it is, in float32; and 1."""
        x = inputs.as_views(x)[0]
        inputs.check_sample_shape(x.shape[1:], self.sample_shape)
        return self._without_invalid(x), 1

    def _views(self, x: Any) -> tuple[Any, int]:
        """Views `[batch * V, ...]` in float32 and V; augmented, or as given."""
        for view in inputs.as_views(x):
            inputs.check_sample_shape(view.shape[1:], self.sample_shape)
        if isinstance(x, (tuple, list)):
            views = ops.stack(x, axis=1)
            views = ops.reshape(views, (-1, *views.shape[2:]))
            return self._without_invalid(views), len(x)
        count = getattr(getattr(self, "loss", None), "views", 1)
        if count > 1:
            x = ops.repeat(x, count, axis=0)
        x = self._without_invalid(x)
        if self.augmenter is not None:
            x = self.augmenter(x, training=True)
        return x, count
