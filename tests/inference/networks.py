"""Small networks whose neurons fire, and data for them."""

import keras
import numpy as np

import keras_tcl
from keras_tcl.layers import LIF, Classifier
from tests.models import tiny
from tests.neurons import AdaptiveLIF

T = 3


def image_model(timesteps=T, **kwargs):
    return stirred(tiny.network(timesteps=timesteps, **kwargs))


def event_model(timesteps=T, **kwargs):
    shape = (timesteps, 8, 8, 2)
    return stirred(
        keras_tcl.models.spiking_vgg(
            [[8], [8]], shape, classes=3, pooling="flatten", **kwargs
        )
    )


def hidden_classifier_model():
    model = stirred(
        keras_tcl.models.spiking_resnet(
            [1],
            [8],
            (8, 8, 1),
            timesteps=T,
            normalization="threshold_dependent",
            classifier=Classifier(3, hidden_units=[16], neuron=LIF(0.75)),
        )
    )
    # So that the hidden neurons fire.
    kernel = tiny.classifier_of(model).dense_layers[0].kernel
    kernel.assign(kernel * 20.0)
    return model


def adaptive_model():
    return image_model(neuron=AdaptiveLIF())


def mean_potential_model():
    return image_model(neuron=LIF(initial_potential="running_mean"))


MODELS = {
    "image": image_model,
    "event": event_model,
    "hidden_classifier": hidden_classifier_model,
    "own_neuron": adaptive_model,
    "mean_potential": mean_potential_model,
}


def stirred(model, seed=0):
    """Give normalizations the statistics that training would."""
    rng = np.random.default_rng(seed)
    for variable in model.network.variables:
        if variable.path.endswith("moving_variance"):
            variable.assign(rng.uniform(0.3, 1.5, variable.shape))
        elif variable.path.endswith("moving_mean"):
            variable.assign(rng.normal(0.0, 0.2, variable.shape))
        elif variable.path.endswith("beta"):
            variable.assign(rng.normal(0.3, 0.3, variable.shape))
        elif variable.path.endswith("mean_potential"):
            variable.assign(0.6)
    return model


def data(model, count=4):
    """Images, or event frames where the model takes them."""
    if model.takes_events:
        return tiny.recordings(count, model.network.inputs[0].shape[1])[0]
    return tiny.images(count)[0]


def frames(x, timesteps=T):
    """What arrives at each step: event frames, or the images again."""
    if x.ndim == 4:
        return [x] * timesteps
    return [x[:, t] for t in range(timesteps)]


def as_tensor(x):
    return keras.ops.convert_to_tensor(x, "float32")
