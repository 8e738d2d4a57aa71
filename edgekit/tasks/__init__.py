"""What networks are for: how their outputs are read, measured and shown."""
