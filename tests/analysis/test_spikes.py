import numpy as np
import pytest

from keras_tcl import analysis
from tests.analysis import networks
from tests.models import tiny


def test_spikes_are_those_of_the_layer():
    model, (x, _) = networks.image_network(), tiny.images(4)
    spikes = analysis.spikes(model, x, "stage2_block1_0", batch_size=2)
    assert spikes.shape == (4, 3, 4, 4, 16) and spikes.dtype == "float32"
    expected = networks.outputs_of(model, x)["stage2_block1_0_spike"]
    np.testing.assert_array_equal(spikes, expected)
    plain = analysis.spikes(model.network, x, "stage2_block1_0")
    np.testing.assert_array_equal(plain, expected)


def test_event_frames_bring_their_own_time_steps():
    model, (x, _) = networks.event_network(), tiny.recordings(2, timesteps=5)
    assert analysis.spikes(model, x, "stem").shape == (2, 5, 8, 8, 8)


def test_unknown_layer():
    model, (x, _) = networks.image_network(), tiny.images(3)
    with pytest.raises(
        ValueError, match="`layer` must be one of 'stem', .*layer='stm'"
    ):
        analysis.spikes(model, x, "stm")
