"""The MobileNet family as plain torch modules, and the loading of trained checkpoints."""
