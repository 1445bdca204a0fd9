"""The cost model's counts, by hand and by what backends count."""

import keras
import pytest

import keras_tcl
from benchmarks.scaling import hlo
from benchmarks.scaling import model as predicted
from benchmarks.scaling.__main__ import CONTRAST, SMALL, run

BACKEND = keras.config.backend()


def tiny(**options):
    """One block of 2 channels on 4x4 pixels, T = 2."""
    return keras_tcl.sew_resnet(
        [1], [2], (4, 4, 1), 3, timesteps=2, projection_dimension=5, **options
    )


@pytest.mark.once
def test_a_network_by_hand():
    cost = predicted.cost(tiny())
    # Stem, once for both steps; two convolutions in each; the classifier.
    assert cost.macs == 9 * 2 * 16 + 2 * (2 * 9 * 4 * 16) + 2 * 2 * 3
    # Along an axis of 4, a window of 3 sees 2 + 3 + 3 + 2 pixels.
    assert cost.macs_inside == 100 * 2 + 2 * (2 * 100 * 4) + 2 * 2 * 3
    assert (cost.first_macs, cost.first_inside) == (288, 200)
    # The stem: pixels, convolved, normalized, all of them still. In the
    # block, all three of two units. The features that are classified.
    assert cost.kept[None] == 16 + 32 + 32 + 6 * 64 + 4
    # Inputs of stem, block and classifier, and what the block keeps.
    assert cost.kept["block"] == 16 + 64 + 64 + 6 * 64
    # Of stem with block, and classifier; what the first keeps.
    assert cost.kept["stage"] == 16 + 64 + (16 + 32 + 32 + 6 * 64)
    assert cost.largest == 64
    assert cost.parameters == 18 + 36 + 36 + 3 * 4 + 9
    assert cost.channels == (2, 2, 2)
    assert (cost.timesteps, cost.features) == (2, (2,))


@pytest.mark.once
def test_a_strided_convolution_sees_its_padding():
    cost = predicted.cost(keras_tcl.sew_resnet([1, 1], [1, 1], (4, 4, 1), 2))
    whole = predicted.cost(keras_tcl.sew_resnet([1], [1], (4, 4, 1), 2))
    # T = 4: to 2x2 by windows of 2 + 3 pixels, on these, and the shortcut.
    added = 4 * (25 + 16 + 4)
    assert cost.macs_inside - whole.macs_inside == added
    assert cost.macs - whole.macs == 4 * (36 + 36 + 4)


@pytest.mark.once
def test_a_step_by_hand():
    cost = predicted.cost(tiny())
    job = predicted.Job(batch=3, devices=2, views=2, dimension=5)
    alone = job._replace(devices=1)
    own, everyone = 3 * 2 * 2, 2 * 3 * 2 * 2
    assert predicted.anchors(cost, job) == (own, everyone)
    # Similarities, and sums over the samples of a class.
    contrast = 3 * 2 * own * everyone * 5 + 2 * 2 * 3 * 6 * 5
    assert predicted.contrast_flop(cost, job) == contrast
    network = 2 * 6 * (3 * cost.macs - cost.first_macs)
    heads = 3 * 2 * own * (2 * 2 + 2 * 5)
    assert predicted.flop(cost, job) == network + heads + contrast
    again = predicted.flop(cost, job._replace(remat="block"))
    assert again - predicted.flop(cost, job) == 2 * 6 * cost.macs
    plain = job._replace(dimension=0)
    assert predicted.flop(cost, plain) == network

    assert predicted.activation_bytes(cost, job) == 6 * 4 * (468 + 2 * 64)
    half = job._replace(width=2)
    assert predicted.activation_bytes(cost, half) == 6 * 2 * (468 + 2 * 64)
    assert predicted.contrast_bytes(cost, job) == 5 * own * everyone * 4

    head = 2 * 2 + 2 + 2 * 5 + 5
    assert predicted.payloads(cost, job) == {
        "gradients": 4 * (cost.parameters + head + 2 * 6),
        # Sums with the number of values, and squares; and back.
        "statistics": 4 * 2 * (2 * 6 + 3),
        "gather": 4 * own * 5,
        "embeddings": 4 * everyone * 5,
    }
    assert not any(predicted.payloads(cost, alone).values())
    traffic = predicted.traffic(cost, job._replace(devices=4))
    assert traffic["gather"] == 3 * 4 * own * 5
    assert traffic["embeddings"] == 1.5 * 4 * (2 * everyone) * 5


@pytest.mark.once
def test_a_program_of_xla():
    text = """
  %x = f32[8,4,4,3]{3,2,1,0} parameter(0)
  %k = f32[3,3,3,2]{3,2,1,0} parameter(1)
  ROOT %y = f32[8,4,4,2]{3,2,1,0} convolution(%x, %k), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f
  %a = f32[5,7]{1,0} parameter(2)
  %b = f32[7,6]{1,0} parameter(3)
  %c = f32[5,6]{1,0} dot(%a, %b), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}
  %all-reduce.1 = (f32[6]{0}, bf16[2,3]{1,0}) all-reduce(%d, %e), channel_id=1
  %g = f32[4,6]{1,0} all-gather(%h), channel_id=2
"""
    assert hlo.products(text) == 2 * (8 * 100 * 3 * 2 + 5 * 7 * 6)
    assert hlo.collectives(text) == {
        "all-reduce": (1, 6 * 4 + 6 * 2),
        "all-gather": (1, 4 * 6 * 4),
    }


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "tensorflow", reason="it has no such counts")
def test_what_two_devices_count():
    jobs = [{**SMALL, "devices": 2}, {**CONTRAST, "devices": 2}]
    for found in run([{**job, "case": ""} for job in jobs]):
        wanted, measured = found["predicted"], found["measured"]
        # XLA counts the padding of strided convolutions in two passes.
        near = 1e-6 if BACKEND == "torch" else 0.02
        assert measured["products"] == pytest.approx(wanted["flop"], rel=near)
        peak = wanted["activations"] + wanted["similarities"]
        if BACKEND == "jax":  # XLA holds fewer matrices than the model has.
            assert 0.3 * peak < measured["peak"] < peak
        else:  # PyTorch's profiler counts otherwise each time beside gloo.
            _, reduced = measured["collectives"]["all-reduce"]
            payloads = wanted["payloads"]
            _, gathered = measured["collectives"]["all-gather"]
            assert gathered == payloads["gather"]
            total = sum(payloads.values()) - gathered
            assert reduced == pytest.approx(total, rel=0.01)
