"""The methods that are compared can be built, each as its row says."""

import keras
import pytest

import keras_tcl
from benchmarks import methods
from keras_tcl import losses


@pytest.mark.parametrize("name", methods.METHODS)
def test_methods_can_be_compiled(name):
    method = methods.METHODS[name]
    model = keras_tcl.models.sew_resnet(
        [1, 1], [4, 4], (8, 8, 1), 10,
        neuron=keras_tcl.layers.LIF(**method.neuron),
    )  # fmt: skip
    loss = eval(method.loss, vars(losses))
    model.compile(keras.optimizers.SGD(), loss)
    assert str(method).startswith(f"`{method.loss}`")
    schedule = methods.schedule_of(method, epochs=8)
    assert len(schedule) == (method.schedule is not None)
    for callback in schedule:
        assert callback.per_stage == method.per_stage


def test_time_steps_of_few_epochs():
    rises = {0: 1, 0.25: 2, 0.5: 4}
    assert methods.by_epoch(rises, 8) == {0: 1, 2: 2, 4: 4}
    assert methods.by_epoch({}, 8) == {}
    # The first are trained, and the last; those between where there is room.
    assert methods.by_epoch(rises, 2) == {0: 1, 1: 4}
    with pytest.raises(ValueError, match="1 epochs are too few"):
        methods.by_epoch(rises, 1)
