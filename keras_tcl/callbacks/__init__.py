"""Keras callbacks of the training: T as a schedule, and an exact resume."""

from keras_tcl.callbacks.backup_and_resume import BackupAndResume
from keras_tcl.callbacks.timestep_schedule import TimestepSchedule

__all__ = ["BackupAndResume", "TimestepSchedule"]
