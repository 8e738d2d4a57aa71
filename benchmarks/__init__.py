"""How fast a file is: measured in fresh processes, interleaved, reported with percentiles."""
