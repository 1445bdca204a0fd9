"""The temporal contrastive objective: equations 6, 7 and 10."""

from typing import Any

import numpy as np
from keras import ops

from keras_tcl import checks
from keras_tcl.distribution import replicas
from keras_tcl.losses.log_denominator import log_denominator

NORMALIZATIONS = ("mean", "paper")

# A vector whose components add up to no more has no direction worth learning.
_SMALLEST = 1e-6


def temporal_contrastive(
    embeddings: Any,
    labels: Any = None,
    temperature: float = 0.07,
    normalization: str = "mean",
) -> Any:
    """Pull the embeddings of one image or class together over time and views.

    Every embedding of the batch is an anchor `a = (i, v, t)`: image `i` of
    `B`, view `v` of `V`, time step `t` of `T`. With `z` the embeddings scaled
    to unit length and `A` all `B * V * T` anchors, the value of image `i` is

    ```
    loss_i = 1/V sum_v 1/T sum_t 1/n_i sum_{p in positives(a)} l(a, p)
    l(a, p) = -log(exp(z_a . z_p / temperature)
                   / sum_{k in A, k != a} exp(z_a . z_k / temperature))
    ```

    | | positives of `a = (i, v, t)`, without `a` | `n_i`, `"paper"` |
    | --- | --- | --- |
    | `labels` | every `(p, w, t')` with the label of `i` (eq. 10) | `V * B_i` |
    | `None` | every `(i, w, t')` (eq. 7) | 1 |

    `n_i` is the number of positives, as in SupCon: the value is a mean, near
    `log(B V T)` before training, whatever T and the classes in the batch.
    `normalization="paper"` takes what is printed, see the table; `B_i` is the
    number of images in the batch with the label of `i`, itself included, so
    `V * B_i` is the paper's `|P(i)|`: it counts samples and not their time
    steps, and the value grows with T. Without labels, `"paper"` is exactly
    eq. 7 for one view and eq. 6 (SimCLR) for two views and one time step. The
    mean over the batch takes the place of the paper's sum over `i`.

    In the training of a model on several devices or processes, `A` and the
    positives are those of all of them (see `keras_tcl.distribution`).

    An anchor without positives contributes 0, and so does its gradient. An
    embedding of zeros stays zero and receives no gradient. The computation is
    in float32, whatever the dtype of the embeddings.

    Args:
        embeddings: Tensor of shape `(batch, views, timesteps, features)`, or
            `(batch, timesteps, features)` for one view. Only `batch` may be
            unknown while tracing. Lengths are scaled to 1 here.
        labels: Class ids of shape `(batch,)` or `(batch, 1)`, or `None` to
            learn from images alone. Defaults to `None`.
        temperature: Float above 0; small values weigh hard negatives more.
            Defaults to `0.07`.
        normalization: `"mean"` or `"paper"`, see above. Defaults to
            `"mean"`.

    Returns:
        float32 tensor of shape `(batch,)`.

    Raises:
        ValueError: a shape or setting that does not fit.

    Example:

    >>> embeddings = np.ones((3, 2, 4, 16))  # Three samples, all alike.
    >>> values = keras_tcl.losses.temporal_contrastive(embeddings, [0, 1, 1])
    >>> [round(v, 2) for v in keras.ops.convert_to_numpy(values).tolist()]
    [3.14, 3.14, 3.14]

    Reference: equations 6, 7 and 10 of the temporal contrastive learning
    paper; [SupCon](https://arxiv.org/abs/2004.11362), `L_out`;
    [SimCLR](https://arxiv.org/abs/2002.05709), NT-Xent.
    """
    temperature = checks.positive("temperature", temperature)
    checks.choice("normalization", normalization, NORMALIZATIONS)
    embeddings = ops.convert_to_tensor(embeddings)
    shape = tuple(embeddings.shape)
    if len(shape) not in (3, 4) or None in shape[1:]:
        raise ValueError(
            "`embeddings` must have the shape (batch, views, timesteps, "
            "features), or (batch, timesteps, features) for one view; only "
            f"the batch size may be unknown. Received: shape {shape}."
        )
    z = unit_length(ops.cast(embeddings, "float32"))
    if len(shape) == 3:
        z = ops.expand_dims(z, 1)
    _, views, timesteps, features = z.shape

    # The candidates are those of all replicas; the anchors, this one's.
    everyone, own = replicas.gathered(z)
    # The sum of similarities is the similarity to the sum, so the positives
    # need no (anchors, anchors) mask.
    class_sum = ops.sum(everyone if labels is not None else z, axis=(1, 2))
    class_images = ops.ones((1,), dtype="float32")
    if labels is not None:
        same = _same_label(labels, shape[0])
        class_sum = ops.matmul(same, class_sum)
        class_images = ops.sum(same, axis=1)
    positives = class_images * (views * timesteps) - 1.0

    others = ops.expand_dims(class_sum, (1, 2)) - z
    attraction = ops.sum(z * others, axis=-1) / temperature
    log_total = ops.reshape(
        log_denominator(
            ops.reshape(everyone, (-1, features)),
            temperature,
            _anchors(own, views * timesteps),
        ),
        (-1, views, timesteps),
    )
    values = positives * ops.mean(log_total, axis=(1, 2)) - ops.mean(
        attraction, axis=(1, 2)
    )
    if normalization == "mean":
        values = values / ops.maximum(positives, 1.0)
    elif labels is not None:
        values = values / (views * class_images)
    # Exactly 0, also where a matrix product rounds its factors (TF32).
    return ops.where(positives > 0, values, 0.0)


def unit_length(x: Any) -> Any:
    """Scale vectors to length 1; those of (nearly) zeros become constants."""
    # Divided by the sum of their magnitudes first, so that no square overflows;
    # the result does not depend on this scale, so it needs no gradient.
    scale = ops.sum(ops.abs(x), axis=-1, keepdims=True)
    is_zero = scale <= _SMALLEST
    x = x / ops.stop_gradient(ops.where(is_zero, 1.0, scale))
    squared_length = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # Two selections: the inner one keeps the unused branch's gradient finite.
    x = x * ops.rsqrt(ops.where(is_zero, 1.0, squared_length))
    return ops.where(is_zero, 0.0, x)


def _anchors(samples: Any, each: int) -> Any:
    """Numbers of the anchors of samples that have so many each."""
    if samples is None:
        return None
    numbers = ops.expand_dims(samples, 1) * each + ops.arange(each)
    return ops.reshape(numbers, (-1,))


def _same_label(labels: Any, batch: int | None) -> Any:
    """Return the `(batch, candidates)` matrix of ones where labels agree."""
    if not ops.is_tensor(labels):
        # Ids beyond 32 bits would meet on JAX; their ranks do not.
        labels = np.asarray(labels)
        ranks = np.unique(labels, return_inverse=True)[1]
        labels = ranks.reshape(labels.shape).astype("int32")
    labels = ops.convert_to_tensor(labels)
    shape = tuple(labels.shape)
    if (
        len(shape) not in (1, 2)
        or shape[1:] not in ((), (1,))
        or (None not in (shape[0], batch) and shape[0] != batch)
    ):
        raise ValueError(
            "`labels` must hold one class id per sample, with the shape "
            "(batch,) or (batch, 1); turn one-hot labels into ids with "
            f"argmax. Received: labels of shape {shape} for a batch of {batch}."
        )
    labels = ops.reshape(labels, (-1,))
    everyone, _ = replicas.gathered(labels)
    same = ops.equal(ops.expand_dims(labels, 1), ops.expand_dims(everyone, 0))
    return ops.cast(same, "float32")
