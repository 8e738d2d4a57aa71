"""The profilers of the runtimes: one file a runtime that has one, imported where it is used."""
