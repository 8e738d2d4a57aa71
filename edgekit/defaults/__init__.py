"""What edgekit works on where nothing is given: a small trained network, images to calibrate on and images to test on.

README.md in this folder says where they come from; train.py made them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
CONFIG = FOLDER / "edgekit.toml"
CHECKPOINT = FOLDER / "digits_v3.safetensors"
