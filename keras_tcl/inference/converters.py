"""The converters behind `export`, one function a format.

Each writes a functional `keras.Model` whose inputs have names and whose output
is a tensor, named `logits` then, or a dictionary of named tensors.
"""

import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_tcl.optional import require

INSTALL = "keras_tcl[export]"
# The backends under which a format can be written.
BACKENDS = {
    "onnx": ("tensorflow", "jax", "torch"),
    "openvino": ("tensorflow", "jax", "torch"),
    "tf_saved_model": ("tensorflow", "jax"),
    "litert": ("tensorflow", "jax"),
    "torch": ("torch",),
}


def knows_loops(format: str) -> bool:
    """Whether a format can be written of neurons over many time steps.

    Those are a loop, but under PyTorch. LiteRT's converter refuses it, and
    OpenVINO where the state is more than one tensor.
    """
    return keras.config.backend() == "torch" or format not in (
        "litert",
        "openvino",
    )


def check(format: str) -> None:
    """Raise a ValueError if the active backend cannot write a format."""
    backend, able = keras.config.backend(), BACKENDS[format]
    if backend not in able:
        raise ValueError(
            f"format={format!r} cannot be written under the {backend} backend,"
            f" but under {' or '.join(able)}: save the model as `.keras`, open "
            f"it in a program that runs with KERAS_BACKEND={able[0]}, and "
            "export it there."
        )


def write(model: keras.Model, path: Path, format: str, **kwargs: Any) -> None:
    """Write a model in one of `BACKENDS`' formats."""
    if format in ("onnx", "openvino", "litert"):
        _check_precision(model, format)
    if not isinstance(model.output, dict):
        model = keras.Model(model.input, {"logits": model.output})
    write_format = _WRITERS[format]
    known = inspect.signature(write_format).parameters
    if "kwargs" not in known and not kwargs.keys() <= known.keys():
        raise ValueError(
            f"The converter to {format!r} takes {list(known)[2:]}. "
            f"Received: {sorted(kwargs)}."
        )
    write_format(model, path, **kwargs)


def _check_precision(model: keras.Model, format: str) -> None:
    for layer in model.layers:
        is_half = layer.compute_dtype in ("float16", "bfloat16")
        if layer.weights and is_half:
            raise ValueError(
                f"format={format!r} wants a network in float32: its runtimes "
                "lack operations in half precision. Received: the layer "
                f"{layer.name!r} computes in {layer.compute_dtype}. Save the "
                "weights, build the network with the dtype policy "
                '"float32", load them, and export that.'
            )


def _write_onnx(
    model: keras.Model, path: Path, opset_version: int | None = None
) -> None:
    backend = keras.config.backend()
    if backend == "tensorflow":
        require("tf2onnx", "ONNX from TensorFlow", INSTALL)
        # With a signature, Keras does not ask whether the model was called.
        signature = keras.tree.map_structure(
            lambda x: keras.InputSpec(x.dtype, x.shape, name=x.name),
            model.input,
        )
        model.export(
            str(path),
            "onnx",
            verbose=False,
            input_signature=[signature],
            opset_version=opset_version,
        )
    elif backend == "jax":
        _write_onnx_from_jax(model, path, opset_version)
    else:
        _write_onnx_from_torch(model, path, opset_version)


def _write_onnx_from_jax(
    model: keras.Model, path: Path, opset_version: int | None
) -> None:
    jax = require("jax", "ONNX from JAX", INSTALL)
    jax2onnx = require("jax2onnx", "ONNX from JAX", "keras_tcl[export-jax]")
    model = keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=_as_flax_pools
    )
    specs = [
        jax.ShapeDtypeStruct(("batch", *x.shape[1:]), x.dtype)
        for x in model.inputs
    ]
    options = {} if opset_version is None else {"opset": opset_version}
    jax2onnx.to_onnx(
        lambda *x: tuple(_call(model, x).values()),
        inputs=specs,
        input_names=[x.name for x in model.inputs],
        output_names=list(model.output),
        return_mode="file",
        output_path=str(path),
        **options,
    )


def _as_flax_pools(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a layer, but pool over space with Flax.

    jax2onnx (0.17) knows Flax's pooling. That of Keras becomes a pooling over
    batch and channels as well, which runtimes refuse.
    """
    if not isinstance(layer, _POOLINGS) or layer.data_format != "channels_last":
        return layer(*args, **kwargs)
    return _FlaxPool(layer)(*args)


_POOLINGS = keras.layers.MaxPooling2D, keras.layers.AveragePooling2D


class _FlaxPool(keras.layers.Layer):
    def __init__(self, pool: Any) -> None:
        super().__init__(autocast=False)
        self.pool = pool

    def call(self, inputs: Any) -> Any:
        flax = require("flax.nnx", "ONNX from JAX", "keras_tcl[export-jax]")
        is_max = isinstance(self.pool, keras.layers.MaxPooling2D)
        return (flax.max_pool if is_max else flax.avg_pool)(
            inputs,
            window_shape=self.pool.pool_size,
            strides=self.pool.strides,
            padding=self.pool.padding.upper(),
        )


def _write_onnx_from_torch(
    model: keras.Model, path: Path, opset_version: int | None
) -> None:
    onnx = require("torch.onnx", "ONNX from PyTorch", INSTALL)
    require("onnxscript", "ONNX from PyTorch", INSTALL)
    module, samples, shapes = _torch_module(model)
    program = onnx.export(
        module,
        samples,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=[x.name for x in model.inputs],
        output_names=list(model.output),
        opset_version=opset_version,
        verbose=False,
    )
    program.optimize()
    program.save(str(path))


def _write_openvino(
    model: keras.Model, path: Path, opset_version: int | None = None
) -> None:
    openvino = require("openvino", "OpenVINO", INSTALL)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        _write_onnx(model, source, opset_version)
        # Not `save_model`, which would round the weights to half precision.
        openvino.serialize(openvino.convert_model(source), path)


def _write_tf_saved_model(
    model: keras.Model, path: Path, **kwargs: Any
) -> None:
    require("tensorflow", "A SavedModel", "keras_tcl[tensorflow]")
    model.export(path, "tf_saved_model", verbose=False, **kwargs)


def _write_litert(model: keras.Model, path: Path, **kwargs: Any) -> None:
    tf = require("tensorflow", "LiteRT", "keras_tcl[tensorflow]")
    with tempfile.TemporaryDirectory() as folder:
        _write_tf_saved_model(model, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        for name, value in kwargs.items():
            if not hasattr(converter, name):
                raise ValueError(
                    "`tf.lite.TFLiteConverter` has no such attribute. "
                    f"Received: {name}={value!r}."
                )
            setattr(converter, name, value)
        path.write_bytes(converter.convert())


def _write_torch(model: keras.Model, path: Path, **kwargs: Any) -> None:
    torch = require("torch", "A program of torch.export", "torch")
    module, samples, shapes = _torch_module(model)
    options = {"dynamic_shapes": shapes, "strict": False, **kwargs}
    torch.export.save(torch.export.export(module, samples, **options), path)


def _torch_module(model: keras.Model) -> tuple[Any, Any, Any]:
    """A PyTorch module with flat inputs, a sample of them, their axes."""
    torch = require("torch", "PyTorch's export", "torch")

    class Module(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> dict[str, Any]:
            return _call(self.model, inputs)

    # Two: PyTorch takes a size of one for a constant.
    samples = tuple(
        keras.ops.ones((2, *x.shape[1:]), x.dtype) for x in model.inputs
    )
    batch = torch.export.Dim("batch")
    return Module().eval(), samples, (tuple({0: batch} for _ in samples),)


def _call(model: keras.Model, inputs: Any) -> dict[str, Any]:
    """Call a model with its inputs one after the other."""
    outputs = model(keras.tree.pack_sequence_as(model.input, list(inputs)))
    # In the order of the model, whatever the backend makes of a dictionary.
    return {name: outputs[name] for name in model.output}


_WRITERS: dict[str, Callable[..., None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "tf_saved_model": _write_tf_saved_model,
    "litert": _write_litert,
    "torch": _write_torch,
}
