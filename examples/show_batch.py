"""Look at a batch: both augmented views, and event frames over time.

    python examples/show_batch.py
    python examples/show_batch.py --images cifar10 --data-dir ~/keras_tcl_data
    python examples/show_batch.py --images image_folder --recipe \
        fine_grained_stcl --data-dir ~/my_photographs
    python examples/show_batch.py --events nmnist --data-dir ~/keras_tcl_data

Without arguments the digits that come with scikit-learn are shown. Writes
`demo_output/images.png` and `demo_output/events.png`. Needs
`pip install keras_tcl[data,plot]`.
"""

import argparse
import pathlib

import keras
import matplotlib
import numpy as np

import keras_tcl

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def image_grid(x, views, names, value_range, title):
    """Each sample's original beside its views, two samples a row.

    Args:
        x: Array `[n, height, width, channels]`.
        views: List of arrays of the same shape.
        names: List of `n` strings.
        value_range: Pair, what is black and what is white.
        title: String.
    """
    columns = ["original", *(f"view {v + 1}" for v in range(len(views)))]
    width = len(columns)
    rows = (len(x) + 1) // 2
    figure, axes = plt.subplots(
        rows,
        2 * width,
        figsize=(2.6 * width, 1.25 * rows + 0.5),
        squeeze=False,
        layout="constrained",
    )
    low, high = value_range
    for axis in axes.ravel():
        axis.axis("off")
    for sample in range(len(x)):
        row, half = divmod(sample, 2)
        for k, image in enumerate([x[sample], *(v[sample] for v in views)]):
            axis = axes[row, half * width + k]
            pixels = (np.asarray(image, "float32") - low) / (high - low)
            pixels = np.clip(pixels, 0, 1).squeeze()
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            if row == 0:
                axis.set_title(columns[k], fontsize=8)
            if k == 0:
                axis.text(
                    -0.05,
                    0.5,
                    names[sample],
                    transform=axis.transAxes,
                    rotation=90,
                    ha="right",
                    va="center",
                    fontsize=7,
                )
    figure.suptitle(title, fontsize=9)
    return figure


def event_grid(x, names, title):
    """One recording a row, one time step a column.

    Events of polarity 1 are red, of polarity 0 blue, on white.

    Args:
        x: Array of counts `[n, timesteps, height, width, 2]`.
        names: List of `n` strings.
        title: String.
    """
    figure, axes = plt.subplots(
        len(x),
        x.shape[1],
        figsize=(1.4 * x.shape[1] + 0.4, 1.5 * len(x) + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for sample, frames in enumerate(x.astype("float32")):
        # One scale for all steps of a recording; the brightest 1 % clip.
        scale = max(np.quantile(frames, 0.99), 1.0)
        off, on = np.clip(np.moveaxis(frames, -1, 0) / scale, 0, 1)
        pixels = np.stack([1 - off, 1 - np.maximum(on, off), 1 - on], -1)
        for step, axis in enumerate(axes[sample]):
            axis.imshow(pixels[step])
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel(f"{int(frames[step].sum())} events", fontsize=6)
            if sample == 0:
                axis.set_title(f"t = {step + 1}", fontsize=8)
        axes[sample, 0].set_ylabel(names[sample], fontsize=7)
    figure.suptitle(title, fontsize=9)
    return figure


def show_images(arguments):
    options = {}
    if arguments.image_size:
        options["image_size"] = arguments.image_size
    batches = keras_tcl.data.load(
        arguments.images,
        "train",
        arguments.samples,
        arguments.data_dir,
        seed=arguments.seed,
        **options,
    )
    x, y = batches[0]
    source = batches.source
    augment = keras_tcl.augmentation.recipe(
        arguments.recipe,
        source.element_shape,
        source.info.value_range,
        seed=arguments.seed,
    )
    views = [
        keras.ops.convert_to_numpy(augment(x, training=True)) for _ in range(2)
    ]
    return image_grid(
        x,
        views,
        [name_of(source.info, label) for label in y],
        source.info.value_range,
        f"{arguments.images}, two views by the recipe {arguments.recipe}",
    )


def show_events(arguments):
    batches = keras_tcl.data.load(
        arguments.events,
        "train",
        arguments.samples,
        arguments.data_dir,
        seed=arguments.seed,
        timesteps=arguments.timesteps,
    )
    x, y = batches[0]
    return event_grid(
        x,
        [name_of(batches.source.info, label) for label in y],
        f"{arguments.events}, {x.shape[1]} frames (polarity 1 red, 0 blue)",
    )


def name_of(info, label):
    return info.class_names[label] if info.class_names else f"class {label}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", help="a data set of still images")
    parser.add_argument("--events", help="a data set of event recordings")
    parser.add_argument("--recipe", default="cifar_stcl")
    parser.add_argument("--data-dir")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default="demo_output")
    arguments = parser.parse_args()
    if not arguments.images and not arguments.events:
        arguments.images = "digits"
    pathlib.Path(arguments.output).mkdir(parents=True, exist_ok=True)
    for kind, show in (("images", show_images), ("events", show_events)):
        if getattr(arguments, kind):
            file = pathlib.Path(arguments.output) / f"{kind}.png"
            figure = show(arguments)
            keras_tcl.analysis.save_plot(figure, file, bbox_inches="tight")
            print(file)


if __name__ == "__main__":
    main()
