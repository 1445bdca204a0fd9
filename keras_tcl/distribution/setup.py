"""`data_parallel`: the one call that a script makes."""

import keras

from keras_tcl.distribution.process import Process, launch


def data_parallel() -> Process:
    """Have `fit` train on all devices and in all processes there are.

    Call it once, before models and tensors are made. With one device and one
    process, nothing changes.

    | backend | devices of one process | several processes |
    | --- | --- | --- |
    | JAX | `keras.distribution.DataParallel` | the same, over all of them |
    | PyTorch | the first one: start a process for each | gloo, NCCL |
    | TensorFlow | `MirroredStrategy` | `MultiWorkerMirroredStrategy` |

    On TensorFlow and JAX, the devices are the GPUs, or the CPUs that the
    backend was told to show. A distribution or strategy that is set already
    stays, in one process: on JAX a `keras.distribution.ModelParallel`, too,
    of which each device holds a part of the weights that its `LayoutMap`
    names.

    Each process is told by the environment which one it is: by `torchrun`
    on PyTorch, by TF_CONFIG, or by Keras' variables
    `KERAS_DISTRIBUTION_JOB_ADDRESSES` (`host:port` of every process, by
    commas), `KERAS_DISTRIBUTION_NUM_PROCESSES` and
    `KERAS_DISTRIBUTION_PROCESS_ID`. Of several GPUs of a host, a process of
    PyTorch takes the one of the variable `LOCAL_RANK` (`torchrun` sets it),
    or the first. Random numbers of all processes begin
    alike.

    Returns:
        A `Process`, the pair `(index, count)`.

    Raises:
        ValueError: If the environment says half of what is needed, or
            PyTorch's processes run other versions of Python, Keras, PyTorch
            or this package.

    Example:

    >>> keras_tcl.distribution.data_parallel()
    Process(index=0, count=1)
    """
    launched = launch()
    backend = keras.config.backend()
    # Imported late: nobody waits for it who trains on one device.
    if backend == "tensorflow":
        from keras_tcl.distribution import tensorflow_replicas

        tensorflow_replicas.start(launched)
    elif backend == "jax":
        from keras_tcl.distribution import jax_devices

        jax_devices.start(launched)
    elif launched.process.count > 1:
        from keras_tcl.distribution import torch_processes

        torch_processes.start(launched)
    return launched.process
