"""A virtual environment for each tool: their requirements contradict each other, and edgekit's."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from edgekit import files
from edgekit.errors import MissingDependency

TOOLS = Path(__file__).parent / "tools"
_INSTALLED = "edgekit-requirements.txt"  # a copy of the requirements, put there when all of them are installed


def python_of(tool: str, folder: Path) -> Path:
    """The interpreter of the environment ``folder / tool``, which is made first where it does not exist.

    Raises:
        MissingDependency: pip cannot install what the tool requires.
        BadInput: the environment cannot be written.
    """
    home, requirements = folder / tool, TOOLS / f"{tool}.txt"
    python, installed = home / "bin" / "python", home / _INSTALLED
    wanted = requirements.read_bytes()
    if not installed.exists() or installed.read_bytes() != wanted:
        venv.create(home, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise MissingDependency(f"{requirements.name} cannot be installed here: {reason}")
        files.write_bytes(installed, wanted)
    return python
