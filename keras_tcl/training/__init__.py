"""Training around the method: bad data, faults of Keras, rematerialization."""
