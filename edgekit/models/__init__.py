"""Networks as plain torch modules, a backbone and its heads, and the loading of trained checkpoints."""
