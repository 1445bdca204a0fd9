"""`data_parallel`: the one call that a script makes."""

import keras

from keras_tcl.distribution.process import Process, launch


def data_parallel() -> Process:
    """Have `fit` train in all processes that were started together.

    Call it once, before models and tensors are made. With one process,
    nothing changes, on any backend. Several processes are those of PyTorch:
    each has one device, and they speak by gloo between CPUs and by NCCL
    between GPUs. Each is told by the environment which one it is: by
    `torchrun`, or by Keras' variables `KERAS_DISTRIBUTION_JOB_ADDRESSES`
    (`host:port` of every process, by commas),
    `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`.
    Random numbers of all processes begin alike.

    On JAX, `keras.distribution.set_distribution(keras.distribution.
    DataParallel())` trains on several devices of one process, with one
    contrast over all of them.

    Returns:
        A `Process`, the pair `(index, count)`.

    Raises:
        ValueError: If the environment says half of what is needed, the
            processes run other versions of Python, Keras, PyTorch or this
            package, or the backend is not PyTorch and they are several.

    Example:

    >>> keras_tcl.distribution.data_parallel()
    Process(index=0, count=1)
    """
    launched = launch()
    if launched.process.count == 1:
        return launched.process
    if keras.config.backend() != "torch":
        raise ValueError(
            "Several processes train together on PyTorch alone so far: set "
            "KERAS_BACKEND=torch, or start one process. Received: process "
            f"{launched.process.index} of {launched.process.count} on "
            f"{keras.config.backend()}."
        )
    # Imported late: nobody waits for it who trains on one device.
    from keras_tcl.distribution import torch_processes

    torch_processes.start(launched)
    return launched.process
