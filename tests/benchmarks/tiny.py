"""A scale of seconds, and its command line for tests that kill it.

python -m tests.benchmarks.tiny [--kill WHEN] table1 --scale tiny ...
"""

import os
import signal
import sys

from benchmarks.paper import __main__ as command
from benchmarks.paper import scales, storage

NETWORK = scales.Network(
    "sew_resnet", {"stackwise_num_blocks": [1], "stackwise_num_filters": [8]}
)
SCALE = scales.Scale(
    "tiny",
    data={
        "CIFAR-10": scales.Data(
            "digits",
            10,
            train="train[:30]",
            test="test[:40]",
            augmentations=("digits", "digits_stcl"),
        ),
        # Never there, and never downloaded.
        "DVS-CIFAR10": scales.Data(
            "cifar10_dvs", 10, augmentations=("dvs", "dvs")
        ),
    },
    networks=dict.fromkeys(
        ("SEW-18", "SEW-34", "Spiking-ResNet", "ResNet-19", "VGG"), NETWORK
    ),
    epochs=4,
    seeds=1,
    latency_timesteps=2,
    timesteps=(1, 2),
    temperatures=(0.07,),
    weights=(0.5,),
)


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment):
    """Let this process die, as by SIGKILL, at a bad moment."""
    if moment == "second epoch":
        from benchmarks.paper.training import _Checkpoint

        def on_train_batch_end(self, batch, logs=None):
            if self.progress["epochs"] == 1 and batch == 1:
                kill()

        _Checkpoint.on_train_batch_end = on_train_batch_end
    elif moment == "between renames":
        replace = os.replace

        def dying_replace(source, target):
            if str(target).endswith(os.sep + "checkpoint.keras"):
                if os.path.exists(f"{target[:-6]}-previous.keras"):
                    kill()
            replace(source, target)

        storage.os.replace = lambda s, t: dying_replace(str(s), str(t))


if __name__ == "__main__":
    scales.SCALES["tiny"] = SCALE
    arguments = sys.argv[1:]
    if arguments[0] == "--kill":
        arm(arguments[1])
        arguments = arguments[2:]
    sys.exit(command.main(arguments))
