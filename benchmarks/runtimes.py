"""Exported files as functions from named arrays to named arrays.

Each runtime by itself, without Keras and without keras_tcl.
"""

import contextlib

import numpy as np

# What opens a format.
RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "tf_saved_model": "tensorflow",
    "litert": "ai_edge_litert",
    "torch": "torch",
}


def onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return lambda x: dict(zip(names, session.run(None, x), strict=True))


def openvino(path):
    import openvino

    # Some processors would compute in bfloat16.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", exact)
    return lambda x: {
        output.any_name: value for output, value in model(x).items()
    }


def tf_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def run(x):
        x = {name: tf.constant(value) for name, value in x.items()}
        outputs = loaded.signatures["serving_default"](**x)
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    return lambda x: runner(**x)


def torch(path):
    import torch

    program = torch.export.load(path)
    module = program.module()

    def run(x):
        # In the order of the model's inputs: that of the names.
        values = [torch.from_numpy(np.array(x[name])) for name in sorted(x)]
        with torch.no_grad():
            outputs = module(*values)
        return {name: value.numpy() for name, value in outputs.items()}

    return run


OPEN = {
    "onnx": onnx,
    "openvino": openvino,
    "tf_saved_model": tf_saved_model,
    "litert": litert,
    "torch": torch,
}


def count_nodes(format, path):
    """Nodes of the graph in an exported file."""
    if format == "onnx":
        import onnx

        return len(onnx.load(path).graph.node)
    if format == "openvino":
        import openvino

        return len(openvino.Core().read_model(path).get_ops())
    if format == "tf_saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(path)
        graph = loaded.signatures["serving_default"].graph.as_graph_def()
        return len(graph.node) + sum(
            len(function.node_def) for function in graph.library.function
        )
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        return len(Interpreter(path)._get_ops_details())
    import torch

    return len(torch.export.load(path).graph.nodes)


def without_gradient():
    """Context in which PyTorch, if it is the backend, keeps no gradient."""
    import keras

    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()
