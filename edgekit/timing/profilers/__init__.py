"""What the runtimes' profilers say of a file's operators."""
