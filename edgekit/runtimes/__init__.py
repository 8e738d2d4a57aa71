"""One Runner a runtime: each runs a finished file the way its users will."""
