"""One HTML page with everything: it needs no other file, loads nothing, and runs nothing.

Each section is a function that gives its content, or None where there is nothing to say.
"""
