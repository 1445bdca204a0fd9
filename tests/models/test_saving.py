"""Files of models: across backends, across a restart, and damaged ones."""

import importlib.util
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl.losses import STCL, TCL
from tests.models import tiny

BACKEND = keras.config.backend()
OTHERS = [b for b in ("tensorflow", "jax", "torch") if b != BACKEND]


def trained(loss=None, **kwargs):
    model = tiny.network(**kwargs)
    model.compile(
        keras.optimizers.Adam(0.01), loss or STCL(), metrics=["accuracy"]
    )
    x, y = tiny.images()
    model.fit(x, y, batch_size=6, verbose=0)
    return model


def all_variables(model):
    return {
        v.path: ops.convert_to_numpy(v.value)
        for v in (*model.variables, *model.optimizer.variables)
    }


def test_round_trip_keeps_everything(tmp_path):
    model = trained(embedding_stages=["stage2"], mean=0.3)
    model.timesteps = 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, keras_tcl.TCLModel)
    for name in ("classes", "value_range", "embedding_stages"):
        assert getattr(loaded, name) == getattr(model, name), name
    assert loaded.timesteps == 2
    assert loaded.loss.get_config() == model.loss.get_config()
    x, y = tiny.images()
    np.testing.assert_allclose(
        loaded.predict_timesteps(x), model.predict_timesteps(x), atol=1e-5
    )
    saved = all_variables(model).values()
    for a, b in zip(saved, all_variables(loaded).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_restart_continues_like_an_uninterrupted_run(tmp_path):
    """Weights, optimizer, and the random state of the augmentations."""
    x, y = tiny.images()

    def model_of(epochs):
        keras.utils.set_random_seed(3)
        model = tiny.network()
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), STCL())
        model.fit(x, y, batch_size=4, epochs=epochs, shuffle=False, verbose=0)
        return model

    whole = model_of(epochs=4)
    first = model_of(epochs=2)
    first.save(tmp_path / "checkpoint.keras")
    keras.utils.set_random_seed(99)  # Nothing may depend on the old one.
    second = keras.models.load_model(tmp_path / "checkpoint.keras")
    second.fit(
        x, y, batch_size=4, epochs=4, initial_epoch=2, shuffle=False, verbose=0
    )
    expected, received = all_variables(whole), all_variables(second)
    for (path, a), b in zip(expected.items(), received.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=path)


def test_views_data_set_and_custom_augmenter_survive(tmp_path):
    augmenter = keras_tcl.augmentation.RandomCrop(1)
    model = trained(TCL(normalization="mean"), augmenter=augmenter)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.augmenter.get_config() == augmenter.get_config()
    assert loaded.loss.normalization == "mean"


def test_inference_model_is_a_file_without_heads(tmp_path):
    model = trained()
    model.inference_model().save(tmp_path / "inference.keras")
    loaded = keras.models.load_model(tmp_path / "inference.keras")
    assert loaded.count_params() == tiny.network().count_params()
    x, _ = tiny.images()
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


OPEN = """
import sys
import keras, numpy as np
import keras_tcl

folder = sys.argv[1]
model = keras.models.load_model(folder + "/model.keras")
data = np.load(folder + "/data.npz")
steps = model.predict_timesteps(data["x"])
np.testing.assert_allclose(steps, data["steps"], rtol=1e-4, atol=1e-4)
expected = model.optimizer.iterations.numpy() if hasattr(
    model.optimizer.iterations, "numpy") else model.optimizer.iterations.value
assert int(expected) == 2, expected
# What "auto" meant to the backend that saved it is not for this one.
assert model.get_compile_config()["jit_compile"] == "auto"
assert not (keras.config.backend() == "torch" and model.jit_compile)
model.fit(data["x"], data["y"], batch_size=6, verbose=0)
print("opened under", keras.config.backend())
"""


@pytest.mark.parametrize("other", OTHERS)
def test_file_opens_under_another_backend(tmp_path, other):
    package = {"torch": "torch", "jax": "jax"}.get(other, "tensorflow")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    model = trained()
    x, y = tiny.images()
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y, steps=model.predict_timesteps(x))
    result = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": other},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert f"opened under {other}" in result.stdout


def test_a_setting_by_position_is_saved(tmp_path):
    model = tiny.network()
    model.compile("sgd", TCL(), None, None, None, False, 1, False)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["jit_compile"] is False


# --- Damaged and foreign files ----------------------------------------------


def test_truncated_model_file(tmp_path):
    trained().save(tmp_path / "model.keras")
    whole = (tmp_path / "model.keras").read_bytes()
    for share in (0.1, 0.5, 0.95):
        broken = tmp_path / "broken.keras"
        broken.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="broken.keras"):
            keras_tcl.models.load_model(broken)


def test_file_of_another_model(tmp_path):
    inputs = keras.Input((4,))
    other = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="holds a Functional"):
        keras_tcl.models.load_model(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="no such file"):
        keras_tcl.models.load_model(tmp_path / "missing.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(ValueError, match="text.keras"):
        keras_tcl.models.load_model(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "zip.keras", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ValueError, match="zip.keras"):
        keras_tcl.models.load_model(tmp_path / "zip.keras")


def test_load_model_opens_what_save_wrote(tmp_path):
    model = trained()
    model.save(tmp_path / "model.keras")
    x, _ = tiny.images()
    np.testing.assert_allclose(
        keras_tcl.models.load_model(tmp_path / "model.keras").predict(
            x, verbose=0
        ),
        model.predict(x, verbose=0),
        atol=1e-5,
    )
    model.inference_model().save(tmp_path / "inference.keras")
    plain = keras_tcl.models.load_model(tmp_path / "inference.keras")
    assert plain.output_shape == (None, tiny.CLASSES)


@pytest.mark.parametrize("damage", ["other network", "truncated", "missing"])
def test_bad_weights_leave_the_model_as_it_was(tmp_path, damage):
    path = tmp_path / "model.weights.h5"
    keras_tcl.models.sew_resnet(
        [1, 1], [8, 6 if damage == "other network" else 16], (8, 8, 1), 3
    ).save_weights(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:4000])
    if damage == "missing":
        path.unlink()
    model = tiny.network()
    before = {v.path: ops.convert_to_numpy(v.value) for v in model.variables}
    with pytest.raises(ValueError, match="model.weights.h5"):
        model.load_weights(path)
    with pytest.raises(ValueError, match="Nothing was loaded"):
        tiny.network(weights=path)
    for variable in model.variables:
        np.testing.assert_array_equal(
            before[variable.path], ops.convert_to_numpy(variable.value)
        )


def test_weights_argument(tmp_path):
    model = trained()
    inference = tiny.network()
    for a, b in zip(
        inference.network.variables, model.network.variables, strict=True
    ):
        a.assign(b.value)
    inference.save_weights(tmp_path / "model.weights.h5")
    again = tiny.network(weights=str(tmp_path / "model.weights.h5"))
    x, _ = tiny.images()
    np.testing.assert_allclose(
        again.predict(x, verbose=0), inference.predict(x, verbose=0), atol=1e-5
    )


def test_heads_are_loaded_by_the_name_of_their_stage(tmp_path):
    """From a file with heads of other stages, of the same widths."""

    def build(stages):
        model = keras_tcl.models.sew_resnet(
            [1, 1, 1], [4, 4, 4], (8, 8, 1), 3, embedding_stages=stages
        )
        model.compile("sgd", TCL())
        return model

    def kernels(model):
        return {
            stage: ops.convert_to_numpy(head.hidden_layer.kernel.value)
            for stage, head in model.heads.items()
        }

    path = tmp_path / "model.weights.h5"
    of_all, of_two, of_one = build("all"), build(None), build(["stage1"])
    of_all.save_weights(path)
    of_two.load_weights(path)
    for stage, kernel in kernels(of_two).items():
        np.testing.assert_array_equal(kernel, kernels(of_all)[stage])
    before = kernels(of_one)
    of_two.save_weights(path)
    of_one.load_weights(path)  # It has none of that stage.
    np.testing.assert_array_equal(kernels(of_one)["stage1"], before["stage1"])


def test_compile_leaves_a_frozen_head_frozen():
    model = tiny.network()
    model.compile("sgd", TCL())
    (head, *_) = model.heads.values()
    head.trainable = False
    model.compile("sgd", TCL(weight=0.1))
    assert not head.trainable
    model.compile("sgd", TCL(weight=0))
    model.compile("sgd", TCL())
    assert head.trainable
