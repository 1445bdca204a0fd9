"""A trained network at work: latency, streaming, export."""
