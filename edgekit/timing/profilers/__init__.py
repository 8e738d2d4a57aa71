"""The profilers of the runtimes, and what they say of a file's operators."""
