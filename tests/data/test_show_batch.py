"""The example that draws a batch."""

import importlib.util
import pathlib
import sys

import pytest

pytest.importorskip("matplotlib")
EXAMPLE = (
    pathlib.Path(__file__).resolve().parents[2] / "examples" / "show_batch.py"
)


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("show_batch", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_images(example, tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    monkeypatch.setattr(
        sys,
        "argv",
        ["show_batch.py", "--samples", "3", "--output", str(tmp_path)],
    )
    example.main()
    picture = np.asarray(Image.open(tmp_path / "images.png").convert("L"))
    assert len(np.unique(picture)) > 17  # 17 greys, and the letters.


def test_events(example, tmp_path):
    import numpy as np

    frames = np.zeros((2, 3, 8, 8, 2), "uint8")
    frames[:, 1, 2, 3, 1] = 5
    figure = example.event_grid(frames, ["a", "b"], "two recordings")
    assert len(figure.axes) == 6
    assert figure.axes[1].get_xlabel() == "5 events"
    red = figure.axes[1].images[0].get_array()[2, 3]
    assert red.tolist() == [1, 0, 0]
