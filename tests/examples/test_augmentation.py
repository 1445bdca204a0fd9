"""The example of augmentations from elsewhere, as typed, at a small scale."""

import importlib.util
import pathlib
import re
import runpy
import sys

import keras
import numpy as np
import pytest

pytest.importorskip("sklearn")
# Keras' MixUp asks JAX for int64.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}:UserWarning")
    for message in (
        "Explicitly requested dtype int64",
        ".*Exception encountered when calling MixUp",
    )
]
EXAMPLE = (
    pathlib.Path(__file__).resolve().parents[2] / "examples" / "augmentation.py"
)


def example():
    return runpy.run_path(str(EXAMPLE))


@pytest.mark.parametrize(
    "name", ["erasing", "randaugment", "augmix", "mixup", "keras_cv"]
)
# PyTorch's, in Keras' Equalization.
@pytest.mark.filterwarnings("ignore:Tensor.T is deprecated:UserWarning")
def test_runs_as_typed(name, monkeypatch, capsys):
    if name == "augmix" and keras.config.backend() == "jax":
        pytest.skip("its operations compile for 20 s; RandAugment's stand for")
    if name == "keras_cv":
        if keras.config.backend() != "tensorflow":
            pytest.skip("keras-cv computes in TensorFlow")
        if importlib.util.find_spec("keras_cv") is None:
            pytest.skip("keras-cv is not installed")
    arguments = ["augmentation.py", "--with", name, "--quick"]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    output = capsys.readouterr().out
    accuracies = re.findall(r"after \d time step\(s\): ([\d.]+) %", output)
    assert len(accuracies) == 2 and "loss: nan" not in output
    assert not re.search("[\b\r\x1b]", output)


def test_views_differ_and_labels_stay():
    names = example()
    x = np.arange(12 * 8 * 8 * 3).reshape(12, 8, 8, 3).astype("uint8")
    y = np.arange(12) % 10
    flip = keras.layers.RandomFlip(seed=0, dtype="float32")
    (first, second), labels = names["two_views"](flip)(x, y)
    first, second = map(keras.ops.convert_to_numpy, (first, second))
    np.testing.assert_array_equal(labels, y)
    assert not np.array_equal(first, second)
    for view in (first, second):  # The same pixels, at other places.
        np.testing.assert_array_equal(
            np.sort(view.reshape(12, -1)), np.sort(x.reshape(12, -1))
        )


def test_mixed_labels_say_what_was_mixed():
    names = example()
    # An image is as bright as its label says.
    y = np.arange(10)
    x = np.full((10, 4, 4, 3), 10.0) * y[:, None, None, None]
    mixup = keras.layers.MixUp(alpha=0.5, seed=0, dtype="float32")
    images, labels = names["mixed"](mixup)(x, y)
    images, labels = map(keras.ops.convert_to_numpy, (images, labels))
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(images[:, 0, 0, 0], labels @ (10 * y), rtol=1e-5)
    assert (np.sort(labels)[:, -2] > 0.01).any()


def test_every_epoch_sees_every_image_once():
    import keras_tcl

    x = np.arange(10.0).reshape(10, 1, 1, 1).astype("float32")
    info = keras_tcl.data.DataInfo("numbers", classes=10, shape=(1, 1, 1))
    source = keras_tcl.data.ArraySource(info, x, np.arange(10))
    batches = keras_tcl.data.Batches(source, 4, shuffle=True)
    mapped = example()["Mapped"](batches, lambda x, y: (x + 1, y))
    epochs = []
    for _ in range(2):
        seen = [mapped[k] for k in range(len(mapped))]
        x = np.concatenate([x.ravel() for x, _ in seen])
        y = np.concatenate([y for _, y in seen])
        np.testing.assert_array_equal(x, y + 1)
        np.testing.assert_array_equal(np.sort(y), np.arange(10))
        epochs.append(y.tolist())
        mapped.on_epoch_end()
    assert epochs[0] != epochs[1]
