"""Training under the integers that are deployed."""
