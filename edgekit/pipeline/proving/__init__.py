"""Whether files are what they have to be: read back, run, and held against the trained network."""
