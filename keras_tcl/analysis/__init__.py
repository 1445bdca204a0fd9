"""What a trained network does: a report, rates, latency, embeddings, plots.

The plots need matplotlib (`pip install keras_tcl[plot]`), nothing else does.
"""

from keras_tcl.analysis.embedding_plot import plot_embeddings
from keras_tcl.analysis.latency_monitor import LatencyMonitor
from keras_tcl.analysis.plots import (
    plot_firing_rates,
    plot_latency,
    plot_spike_raster,
)
from keras_tcl.analysis.projections import embeddings
from keras_tcl.analysis.rates import firing_rates, spikes
from keras_tcl.analysis.reports import Report, report
from keras_tcl.analysis.style import save_plot

__all__ = [
    "LatencyMonitor",
    "Report",
    "embeddings",
    "firing_rates",
    "plot_embeddings",
    "plot_firing_rates",
    "plot_latency",
    "plot_spike_raster",
    "report",
    "save_plot",
    "spikes",
]
