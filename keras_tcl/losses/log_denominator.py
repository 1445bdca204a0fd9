"""The denominator of the contrastive loss, without its square matrix."""

from typing import Any

from keras import ops

# Rows of the matrix of similarities that are held at once, and up to how many
# embeddings all of it is (4,096: 64 MB, three times in training).
BLOCK_SIZE = 1024
LARGEST_WHOLE = 4096

# Stands for minus infinity. Being finite it leaves 0, not NaN, after a
# multiplication by 0: an anchor may have no candidate at all.
_EXCLUDED = -1e30


def log_denominator(z: Any, temperature: float, own: Any = None) -> Any:
    """Return `log sum_{k != a} exp(z_a . z_k / temperature)` for each row.

    For many embeddings (and a number known while tracing) the similarities
    are computed `BLOCK_SIZE` rows at a time, and again for the gradient: the
    memory grows with the number of embeddings, not with its square.

    Args:
        z: float32 tensor `(embeddings, features)`.
        temperature: Float above 0.
        own: Numbers of the rows that are anchors here; the others are
            candidates alone. Defaults to all.

    Returns:
        float32 tensor `(embeddings,)`, or one of the length of `own`.
    """
    if own is not None:
        # A share of the rows: no blocks within it.
        rows = ops.take(z, own, axis=0)
        return ops.logsumexp(_similarity(rows, own, z, temperature), axis=1)
    if z.shape[0] is None or z.shape[0] <= LARGEST_WHOLE:
        index = ops.arange(ops.shape(z)[0])
        return ops.logsumexp(_similarity(z, index, z, temperature), axis=1)
    return _in_blocks(z, temperature)


def _similarity(rows: Any, index: Any, z: Any, temperature: float) -> Any:
    """Rows of the matrix, numbered `index`, without an anchor's own entry."""
    similarity = ops.matmul(rows / temperature, ops.transpose(z))
    candidates = ops.arange(ops.shape(z)[0], dtype=index.dtype)
    is_self = ops.equal(ops.expand_dims(index, 1), candidates)
    return ops.where(is_self, _EXCLUDED, similarity)


def _in_blocks(z: Any, temperature: float) -> Any:
    count = z.shape[0]
    blocks = -(-count // BLOCK_SIZE)

    def split(x: Any) -> Any:
        """`(count, ...)` to `(blocks, BLOCK_SIZE, ...)`, filled up with 0."""
        missing = blocks * BLOCK_SIZE - count
        x = ops.pad(x, [(0, missing)] + [(0, 0)] * (len(x.shape) - 1))
        return ops.reshape(x, (blocks, BLOCK_SIZE, *x.shape[1:]))

    def join(x: Any) -> Any:
        return ops.reshape(x, (-1, *x.shape[2:]))[:count]

    # Numbers past the end, for the rows of zeros, are nobody's own.
    index = ops.reshape(ops.arange(blocks * BLOCK_SIZE), (blocks, BLOCK_SIZE))

    @ops.custom_gradient
    def log_sums(z: Any) -> Any:
        def forward(block: Any) -> Any:
            rows, index = block
            similarity = _similarity(rows, index, z, temperature)
            return ops.logsumexp(similarity, axis=1)

        values = join(ops.map(forward, (split(z), index)))

        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:  # TensorFlow and JAX pass it by position.
                (upstream,) = args

            def backward(block: Any) -> Any:
                rows, index, value, weight = block
                similarity = _similarity(rows, index, z, temperature)
                # Shares of the candidates in the row's sum, and, as the
                # matrix is symmetric, of the row in those of the candidates.
                shares = ops.exp(similarity - ops.expand_dims(value, 1))
                shares = shares * ops.expand_dims(weight, 1)
                shares += ops.exp(similarity - values) * upstream
                return ops.matmul(shares, z) / temperature

            blocks = (split(z), index, split(values), split(upstream))
            return join(ops.map(backward, blocks))

        return values, grad

    return log_sums(z)
