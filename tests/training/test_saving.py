"""What torch saves, where the disk may be full."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from edgekit.errors import BadInput
from edgekit.training.saving import save


def test_what_is_saved_is_read_and_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save({"a": torch.ones(3)}, path := tmp_path / "state.pt")

    def full(self: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match=r"no space left on the disk while writing .*state\.pt"):
        save({"a": torch.zeros(3)}, path)
    assert torch.equal(torch.load(path)["a"], torch.ones(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]
