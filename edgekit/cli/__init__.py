"""The command line: parse, call one pipeline function, show the value, set the exit code."""
