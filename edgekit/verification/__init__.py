"""Is a finished file the model that was trained? Each question one file, each answer a value that passes or not."""
