"""``python -m edgekit``."""

from edgekit.cli.app import app

app()
