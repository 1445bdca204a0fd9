"""A network as a plain model of inference, and as a file for other runtimes."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_tcl import graph
from keras_tcl.checks import choice, integer
from keras_tcl.inference import converters
from keras_tcl.inference.folding import Cast, InferenceVisit
from keras_tcl.inference.neuron_step import UnrolledNeuron
from keras_tcl.kernels import UNROLL_LIMIT
from keras_tcl.layers import Neuron, PixelNormalization

# The format that the end of a file's name stands for.
SUFFIXES = {
    ".onnx": "onnx",
    ".tflite": "litert",
    ".pt2": "torch",
    ".xml": "openvino",
    "": "tf_saved_model",
}


def inference_model(
    network: keras.Model,
    timesteps: int | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Returns the plain functional model of what inference needs.

    ```
    [B, H, W, C] or [B, T, H, W, C] -> mean over T of the logits [B, classes]
    ```

    The network's layers with its weights (shared, not copied) at the T that
    is set, in inference whatever it is called with, and time folded into the
    batch once for all layers between two neurons. It can be saved, and opened
    under another backend.

    Args:
        network: Functional `keras.Model` from images or event frames to a
            dictionary with the step-wise `"logits"` `[B, T, classes]`.
        timesteps: Integer, T of event frames. Defaults to the T that the
            network was drawn with. Not for images, whose T is that of the
            network's `DirectEncoding`.
        dtype: String, data type of the input. Defaults to the network's own;
            `"uint8"` takes images as they are stored.

    Returns:
        `keras.Model` with the input `inputs`.

    Raises:
        ValueError: If the network has no step-wise `"logits"`, T is not
            known, or `timesteps` is given for images.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1], [8], timesteps=2)
    >>> keras_tcl.inference.inference_model(model.network).output_shape
    (None, 10)
    """
    return _draw(network, InferenceVisit(), timesteps, dtype)


def _draw(
    network: keras.Model,
    visit: graph.Visit,
    timesteps: int | None,
    dtype: str | None = None,
) -> keras.Model:
    graph.check_network(network)
    inputs = network_input(network, timesteps, dtype)
    drawn = network.inputs[0].dtype
    x = Cast(dtype=drawn, name="as_drawn")(inputs)
    logits = graph.walk(network, x, visit, ["logits"])["logits"]
    mean = keras.layers.GlobalAveragePooling1D(
        data_format="channels_last", dtype="float32", name="mean_over_time"
    )
    return keras.Model(inputs, mean(logits), name=network.name)


def export(
    model: keras.Model,
    filepath: Any,
    format: str | None = None,
    timesteps: int | None = None,
    dtype: str | None = None,
    verbose: bool = False,
    **kwargs: Any,
) -> None:
    """Writes a network for a runtime that knows nothing of keras_tcl.

    | format | file | opened by | written under |
    | --- | --- | --- | --- |
    | `"onnx"` | `.onnx` | ONNX Runtime | all three backends |
    | `"openvino"` | `.xml`, `.bin` | OpenVINO | all three backends |
    | `"tf_saved_model"` | a folder | TensorFlow | TensorFlow, JAX |
    | `"litert"` | `.tflite` | LiteRT | TensorFlow, JAX |
    | `"torch"` | `.pt2` | `torch.export.load` | PyTorch |

    What is written is `inference_model(model)`: raw images (uint8) or event
    frames (float32) named `inputs` to the mean `logits` `[B, classes]`, of
    any batch size, with the T that is set. Where the backend cannot write a
    format, save the model as `.keras` and open it under one that can.

    Args:
        model: A network (see `inference_model`), or a model made from one by
            `inference_model` or `step_model`, which is written as it is.
        filepath: String or path of the file, or of the folder for
            `"tf_saved_model"`. What is there is replaced, at the end: a
            failed export leaves it as it was.
        format: One of the formats above. Defaults to what `filepath` ends
            with, and without an ending to `"tf_saved_model"`.
        timesteps: Integer, T of event frames, as for `inference_model`.
        dtype: String, data type of the input. Defaults to `"uint8"` for
            images whose `PixelNormalization` expects pixels from 0 to 255,
            else to the network's own.
        verbose: Boolean, whether to print where the file is.
        **kwargs: Passed on to the converter: `opset_version` for `"onnx"`,
            attributes of `tf.lite.TFLiteConverter` (such as
            `optimizations`) for `"litert"`, arguments of `torch.export.export`
            for `"torch"`.

    Raises:
        ValueError: If the format is unknown or does not fit the file's name,
            or this backend cannot write it.
        ImportError: If a converter is not installed; the message says what
            to install.

    Example:

    ```python
    model = keras_tcl.models.sew_resnet([1], [8])
    keras_tcl.inference.export(model.network, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx")
    (logits,) = session.run(None, {"inputs": images})
    ```
    """
    path = Path(filepath)
    format = _format(path, format)
    converters.check(format)
    knows_loops = converters.knows_loops(format)
    visit = InferenceVisit() if knows_loops else _UnrollingVisit()
    is_plain = isinstance(model, keras.Model) and graph.can_be_walked(model)
    if _is_network(model) or not is_plain:
        if dtype is None:
            dtype = _pixel_dtype(graph.check_network(model))
        model = _draw(model, visit, timesteps, dtype)
    elif timesteps is not None or dtype is not None:
        raise ValueError(
            "`timesteps` and `dtype` are for networks; a model of inference "
            "has those it was made with. Received: "
            f"timesteps={timesteps}, dtype={dtype!r}."
        )
    elif not knows_loops:
        outputs = graph.walk(model, model.input, visit)
        model = keras.Model(model.input, outputs, name=model.name)
    if not _may_replace(path, format):
        kind = "folder" if format == "tf_saved_model" else "file"
        raise ValueError(
            f"An export replaces an earlier one: a {kind}, and a SavedModel "
            "that holds nothing else. Received: "
            f"filepath={str(path)!r}, where there is something else (and no "
            "SavedModel). Choose another name."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the folder of the target, so that moving there cannot fail half-way.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        converters.write(model, Path(folder) / path.name, format, **kwargs)
        if path.is_dir():
            shutil.rmtree(path)
        for part in Path(folder).iterdir():
            part.replace(path.parent / part.name)
    if verbose:
        print(f"Saved {format} at {str(path)!r}.")


class _UnrollingVisit(InferenceVisit):
    """Draws neurons without loops, for converters that know none."""

    def __call__(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        # Up to a few steps, a neuron has no loop and is leaner by itself.
        if isinstance(layer, Neuron) and args[0].shape[1] > UNROLL_LIMIT:
            return UnrolledNeuron(layer)(*args)
        return super().__call__(layer, *args, **kwargs)


def network_input(
    network: keras.Model, timesteps: int | None, dtype: str | None
) -> Any:
    """A symbolic input for a network, with T known."""
    (drawn,) = network.inputs
    shape = drawn.shape[1:]
    if len(shape) == 4:
        if timesteps is None and shape[0] is None:
            raise ValueError(
                "T of the event frames is not known. Give `timesteps`. "
                f"Received: a network for frames {drawn.shape}."
            )
        if timesteps is not None:
            shape = (integer("timesteps", timesteps), *shape[1:])
    elif timesteps is not None:
        raise ValueError(
            "`timesteps` is for event frames. The T of images is that of "
            "the network's `DirectEncoding`: set it before (`TCLModel` has "
            f"`model.timesteps`). Received: timesteps={timesteps}."
        )
    return keras.Input(shape, dtype=dtype or drawn.dtype, name="inputs")


def _pixel_dtype(network: keras.Model) -> str | None:
    """uint8, if the network says that its pixels lie between 0 and 255."""
    for layer in graph.layers(network, PixelNormalization):
        return "uint8" if layer.value_range == (0, 255) else None
    return None


def _is_network(model: Any) -> bool:
    output = getattr(model, "output", None)
    return (
        isinstance(output, dict)
        and graph.LOGITS in output
        and len(output[graph.LOGITS].shape) == 3
    )


_SAVED_MODEL = {
    "assets",
    "assets.extra",
    "fingerprint.pb",
    "saved_model.pb",
    "variables",
}


def _may_replace(path: Path, format: str) -> bool:
    """Whether what is there is nothing, or what an export wrote."""
    if not path.exists():
        return True
    if format != "tf_saved_model":
        return path.is_file()
    return path.is_dir() and {x.name for x in path.iterdir()} <= _SAVED_MODEL


def _format(path: Path, format: str | None) -> str:
    suffix = path.suffix
    if format is None and suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if format is None:
        raise ValueError(
            "Cannot tell the format from the name of the file, which may end "
            f"with {', '.join(filter(None, SUFFIXES))}, or have no ending for "
            f"a SavedModel. Received: filepath={str(path)!r}. Give `format`."
        )
    choice("format", format, SUFFIXES.values())
    if format != "tf_saved_model" and SUFFIXES.get(suffix) != format:
        (wanted,) = (s for s, f in SUFFIXES.items() if f == format)
        raise ValueError(
            f"The name of a file of format {format!r} ends with {wanted}. "
            f"Received: filepath={str(path)!r}."
        )
    return format
