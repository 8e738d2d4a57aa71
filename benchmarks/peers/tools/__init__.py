"""The other tools: one file a tool, with a function ``quantize``, and beside it the versions of what it needs."""
