"""Does a GPU compute what the CPU does, in each precision?

    KERAS_BACKEND=torch python -m benchmarks.gpu.same_numbers

One process without GPUs and one with them train the same network from the
same weights on the same batches: `sew_resnet8`, TCL, five steps of SGD. The
losses are compared. A spike is a threshold: where rounding takes a membrane
potential across it, a whole spike differs, and what follows from it. So the
first step, before any update, must agree closely, and the fifth roughly:

| precision | first step | fifth step |
| --- | --- | --- |
| `float32`, without TF32 | 1e-3 | 2e-2 |
| `mixed_bfloat16`, `mixed_float16` against the CPU's `float32` | 2e-2 | 5e-2 |

Exits with 1 where a relative difference is greater.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 5
LIMITS = {
    "float32": (1e-3, 2e-2),
    "mixed_bfloat16": (2e-2, 5e-2),
    "mixed_float16": (2e-2, 5e-2),
}


def exact_float32(backend: str) -> None:
    """Multiply float32 as such: GPUs would round it to TF32."""
    if backend == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)


def losses(weights: pathlib.Path, policy: str) -> list[float]:
    """The loss of each step; writes the first weights if there are none."""
    import keras
    import numpy as np

    import keras_tcl

    exact_float32(keras.config.backend())
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    model = keras_tcl.sew_resnet8(augmenter=None)
    if weights.exists():
        model.load_weights(weights)
    else:
        model.save_weights(weights)
    sgd = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(sgd, keras_tcl.losses.TCL())
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (STEPS, 16, 32, 32, 3), "uint8")
    y = rng.integers(0, 10, (STEPS, 16))
    found = []
    for batch in range(STEPS):
        logs = model.train_on_batch(x[batch], y[batch], return_dict=True)
        found.append(float(logs["loss"]))
        # Keras returns the mean so far.
        model.reset_metrics()
    return found


def in_process(
    weights: pathlib.Path, policy: str, variables: dict[str, str]
) -> list[float]:
    """As `losses`, in a process that sees the GPUs it is given."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, str(weights), policy],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def differences(
    reference: list[float], found: list[float]
) -> tuple[float, float]:
    """Relative, of the first and of the last step; infinite for no number."""
    first, *_, last = (
        abs(b - a) / abs(a) if b == b else float("inf")
        for a, b in zip(reference, found, strict=True)
    )
    return first, last


def table(results: dict[str, list[float]], reference: list[float]) -> str:
    """The table in Markdown; a row that ends in `NO` is a failure."""
    lines = [
        "| precision | first step | limit | fifth step | limit | agrees |",
        "| --- " * 6 + "|",
    ]
    for policy, found in results.items():
        cells, agrees = [], True
        pairs = zip(differences(reference, found), LIMITS[policy], strict=True)
        for difference, limit in pairs:
            cells += [f"{difference:.1e}", f"{limit:g}"]
            agrees &= difference <= limit
        cells.append("yes" if agrees else "NO")
        lines.append(f"| {policy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    if len(sys.argv) == 3:
        print(json.dumps(losses(pathlib.Path(sys.argv[1]), sys.argv[2])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder) / "first.weights.h5"
        # JAX and PyTorch heed the first, TensorFlow too.
        alone = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        reference = in_process(weights, "float32", alone)
        results = {p: in_process(weights, p, {}) for p in LIMITS}
    text = table(results, reference)
    print(text)
    return int(" NO |" in text)


if __name__ == "__main__":
    sys.exit(main())
