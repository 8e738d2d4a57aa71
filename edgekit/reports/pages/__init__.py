"""Pages of results, one module a command: ``render(result)`` gives an HTML document."""
