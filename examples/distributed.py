"""Train on whatever there is: a laptop, several devices, several hosts.

    python examples/distributed.py

trains on one device, and on all GPUs of the host under TensorFlow and JAX.
PyTorch has a process for each:

    torchrun --nproc-per-node 4 examples/distributed.py

On two hosts, on each with its own number:

    export KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:1234,10.0.0.2:1234
    export KERAS_DISTRIBUTION_NUM_PROCESSES=2
    export KERAS_DISTRIBUTION_PROCESS_ID=0  # 1 on the other one
    python examples/distributed.py

The batch of 64 is that of all devices together, and a step is that of one
device, within rounding, but for random crops: processes draw their own.
"""

import argparse

import keras

import keras_tcl


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output", default=None)
    options = parser.parse_args()

    # Before anything is made.
    process = keras_tcl.distribution.data_parallel()
    keras.utils.set_random_seed(0)

    info = keras_tcl.data.info("digits")
    train = keras_tcl.data.load(
        "digits",
        "train",
        options.batch_size,
        drop_remainder=True,
        shard=process,
    )
    test = keras_tcl.data.load("digits", "test", 60, shard=process)

    model = keras_tcl.sew_resnet8(**info.network_arguments(), synchronized=True)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        loss=keras_tcl.losses.TCL(),
        metrics=["accuracy"],
    )
    model.fit(train, epochs=options.epochs, validation_data=test)

    if process.is_first:
        print(f"{process.count} process(es)")
        if options.output:
            model.save(options.output)


if __name__ == "__main__":
    main()
