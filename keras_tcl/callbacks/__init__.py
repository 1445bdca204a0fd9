"""Keras callbacks of the training: the number of time steps as a schedule."""

from keras_tcl.callbacks.timestep_schedule import TimestepSchedule

__all__ = ["TimestepSchedule"]
