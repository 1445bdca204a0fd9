r"""Predict while the events of a recording arrive, frame by frame.

    python examples/stream_events.py --data-dir ~/keras_tcl_data
    python examples/stream_events.py --model event_output/model.keras

Trains a small network on N-MNIST for a few epochs, or opens one, and shows
its prediction after every frame of some test recordings. Checks that they are
those of the network that sees the whole recording at once.
"""

import argparse
import sys

import keras
import numpy as np

import keras_tcl


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--model", help="a saved model of event frames")
    parser.add_argument("--timesteps", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--recordings", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="try it out")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.timesteps, arguments.epochs = 3, 1

    # Each recording becomes T frames that count its events by polarity.
    train, test = (
        keras_tcl.data.load(
            "nmnist",
            split,
            batch_size,
            arguments.data_dir,
            timesteps=arguments.timesteps,
        )
        for split, batch_size in (("train", 32), ("test", arguments.recordings))
    )
    if arguments.model:
        model = keras_tcl.load_model(arguments.model)
    else:
        model = train_on(train, arguments.epochs)

    frames, labels = next(iter(test))
    expected = model.predict_timesteps(frames)
    session = model.stream()
    for recording, label, logits in zip(frames, labels, expected, strict=True):
        print(f"a recording of {int(label)}:")
        session.reset()
        for t, frame in enumerate(recording, start=1):
            mean = session(frame)
            print(f"  after frame {t}: {probable(mean)}")
            # What the network says that saw the first t frames at once.
            np.testing.assert_allclose(mean, logits[:t].mean(0), atol=1e-5)


def train_on(train, epochs):
    source = train.source
    model = keras_tcl.spiking_vgg(
        [[8, 8], [16, 16], [32, 32]],
        input_shape=source.element_shape,
        classes=source.info.classes,
        pooling="flatten",
        augmenter=None,  # A mirrored digit is another, or none.
    )
    optimizer = keras.optimizers.Adam(3e-3)
    model.compile(optimizer, keras_tcl.losses.TET(), metrics=["accuracy"])
    model.fit(train, epochs=epochs)
    return model


def probable(logits):
    """The two most probable classes, in words."""
    p = np.exp(logits - logits.max())
    p /= p.sum()
    first, second = np.argsort(-p)[:2]
    return (
        f"{first} ({100 * p[first]:.0f} %), {second} ({100 * p[second]:.0f} %)"
    )


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # It says which file to put where.
        sys.exit(f"{error}")
