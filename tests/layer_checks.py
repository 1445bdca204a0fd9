"""What every layer must do, in one call."""

import json

import keras
import numpy as np

from keras_tcl.layers import Neuron

BACKEND = keras.config.backend()
POLICIES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def run_layer_checks(
    layer_class,
    init_kwargs,
    input_shape,
    expected_output_shape,
    expected_weights=0,
    folder=None,
    package="keras_tcl",
):
    """Check config, symbolic and eager call, dtypes, and a compiled fit.

    Args:
        layer_class: The class.
        init_kwargs: Dict of arguments, or a function that returns it: layers
            among the arguments take their dtype policy when they are made.
        input_shape: Tuple with the batch size, or a list of them for a layer
            of several inputs.
        expected_output_shape: Tuple with the batch size.
        expected_weights: Integer, how many weights the layer has when built.
        folder: Path of a folder to save a model in. `None` saves nothing.
        package: Name it is registered under.
    """

    def make():
        kwargs = init_kwargs() if callable(init_kwargs) else init_kwargs
        return layer_class(**kwargs)

    shapes = input_shape if isinstance(input_shape, list) else [input_shape]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    _check_config(make(), package)
    _check_calls(make(), arrays, expected_output_shape, expected_weights)
    _check_policies(make, arrays, expected_output_shape)
    model = _check_fit(make(), arrays, expected_output_shape)
    if folder is not None:
        path = folder / "model.keras"
        model.save(path)
        revived = keras.saving.load_model(path)
        np.testing.assert_array_equal(
            _to_numpy(revived(_packed(arrays))),
            _to_numpy(model(_packed(arrays))),
        )


def _packed(items):
    return items[0] if len(items) == 1 else list(items)


def _to_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def _check_config(layer, package):
    config = layer.get_config()
    # `from_config` may take its argument apart.
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == config
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert saved["registered_name"] == f"{package}>{type(layer).__name__}"
    revived = keras.saving.deserialize_keras_object(saved)
    assert type(revived) is type(layer)
    assert revived.get_config() == config
    # Nothing that the constructor sets is forgotten by the config.
    assert set(dir(revived)) == set(dir(layer))


def _check_calls(layer, arrays, output_shape, weights):
    symbolic = layer(_packed([keras.Input(x.shape[1:]) for x in arrays]))
    assert symbolic.shape == (None, *output_shape[1:])
    shapes = _packed([(None, *x.shape[1:]) for x in arrays])
    assert layer.compute_output_shape(shapes) == symbolic.shape
    assert len(layer.weights) == weights
    eager = layer(_packed(arrays))
    assert tuple(eager.shape) == output_shape
    assert keras.backend.standardize_dtype(eager.dtype) == symbolic.dtype
    assert len(layer.weights) == weights


def _check_policies(make, arrays, output_shape):
    for policy in POLICIES:
        keras.config.set_dtype_policy(policy)
        layer = make()
        dtype = layer.compute_dtype
        assert dtype == policy.removeprefix("mixed_")
        symbolic = layer(_packed([keras.Input(x.shape[1:]) for x in arrays]))
        assert symbolic.dtype == dtype
        output = _call_quickly(layer, arrays)
        assert keras.backend.standardize_dtype(output.dtype) == dtype
        assert tuple(output.shape) == output_shape
        # A neuron's arithmetic is float32, and so are its weights.
        is_neuron = isinstance(layer, Neuron)
        for weight in layer.trainable_weights:
            assert weight.dtype == (
                "float32" if is_neuron else layer.variable_dtype
            )
        assert np.isfinite(_to_numpy(output)).all()
    keras.config.set_dtype_policy("float32")


def _call_quickly(layer, arrays):
    """Call a built layer; an eager call compiles every operation on JAX."""

    def call(*tensors):
        return layer(_packed(tensors))

    if BACKEND == "jax":
        import jax

        call = jax.jit(call)
    return call(*[keras.ops.convert_to_tensor(x) for x in arrays])


def _check_fit(layer, arrays, output_shape):
    """One compiled step, whose gradient passes through the layer."""
    inputs = [keras.Input(x.shape[1:]) for x in arrays]
    first = [keras.layers.Dense(x.shape[-1]) for x in arrays]
    outputs = layer(
        _packed([dense(x) for dense, x in zip(first, inputs, strict=True)])
    )
    model = keras.Model(_packed(inputs), outputs)
    # Keras runs PyTorch eagerly unless told otherwise.
    model.compile("sgd", "mse", jit_compile=BACKEND != "torch")
    before = [dense.get_weights()[0] for dense in first]
    history = model.fit(
        _packed(arrays),
        np.full(output_shape, -1.0, "float32"),
        batch_size=len(arrays[0]),
        verbose=0,
    )
    assert np.isfinite(history.history["loss"][0])
    for dense, kernel in zip(first, before, strict=True):
        after = dense.get_weights()[0]
        assert np.isfinite(after).all() and np.any(after != kernel)
    return model
