"""From a trained network to files: found, calibrated, written, and checked against the rules of devices."""
