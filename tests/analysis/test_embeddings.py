import keras
import numpy as np
import pytest

from keras_tcl import analysis
from keras_tcl.losses import TCL
from tests.analysis import networks
from tests.models import tiny


def test_pooled_features():
    model, (x, _) = networks.image_network(), tiny.images(4)
    found = analysis.embeddings(model, x, batch_size=2)
    outputs = networks.outputs_of(model, x)
    assert list(found) == ["stage1", "stage2"]
    for stage, values in found.items():
        features = outputs[f"{stage}_block1_out"]
        np.testing.assert_allclose(
            values, features.mean(axis=(2, 3)), rtol=1e-5
        )


@pytest.mark.parametrize("kind", ["images", "events"])
def test_projection_heads(kind):
    if kind == "images":
        make, (x, _) = networks.image_network, tiny.images(3)
    else:
        make, (x, _) = networks.event_network, tiny.recordings(3)
    model = make(projection_dimension=6, embedding_stages=["stage2"])
    model.compile("sgd", TCL())
    found = analysis.embeddings(model, x)
    assert list(found) == ["stage2"] and found["stage2"].shape == (3, 3, 6)
    pooled = analysis.embeddings(model, x, projected=False)
    assert pooled["stage1"].shape == (3, 3, 8)
    projected = model.heads["stage2"](pooled["stage2"])
    np.testing.assert_allclose(
        found["stage2"],
        keras.ops.convert_to_numpy(projected),
        rtol=1e-4,
        atol=1e-6,
    )


def test_no_heads():
    model, (x, _) = networks.image_network(), tiny.images(3)
    for given in (model, model.network):
        with pytest.raises(ValueError, match="no projection heads"):
            analysis.embeddings(given, x, projected=True)
    expected = analysis.embeddings(model, x)
    for stage, values in analysis.embeddings(model.network, x).items():
        np.testing.assert_array_equal(values, expected[stage])
