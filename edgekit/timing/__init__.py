"""Time on this machine: two files against each other, where a file's time goes, and what the machine could do."""
