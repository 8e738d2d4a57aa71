"""Reports by their suffix, of results made by hand and of real ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import BadInput, ConfigError
from edgekit.reports import values, writing

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.pipeline.proving.verdicts import VerifyResult


@pytest.mark.parametrize("name", ["report.html", "REPORT.HTML", "summary.md", "junit.xml", "verify.json"])
def test_the_suffix_decides(name: str, passing: VerifyResult, tmp_path: Path) -> None:
    path = tmp_path / "new" / name
    writing.check([path])
    writing.write(passing, path)
    start = {".html": "<!DOCTYPE html>", ".md": "## ", ".xml": "<?xml", ".json": "{"}[path.suffix.lower()]
    assert path.read_text(encoding="utf-8").startswith(start)
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["report.pdf", "report", "html", ".html"])
def test_an_unknown_suffix_is_refused_before_anything_is_done(name: str, passing: VerifyResult, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"its suffix decides, choose from \.html, \.md, \.xml, \.json"):
        writing.check([tmp_path / "good.md", tmp_path / name])
    with pytest.raises(ConfigError):
        writing.write(passing, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.html").mkdir()
    with pytest.raises(ConfigError, match=r"site\.html is a folder, and a report is a file"):
        writing.check([tmp_path / "site.html"])


def test_a_place_that_cannot_be_written(passing: VerifyResult, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is not a folder"):
        writing.write(passing, tmp_path / "file" / "report.md")


def test_json_is_what_is_printed(failing: VerifyResult, tmp_path: Path) -> None:
    writing.write(failing, tmp_path / "verify.json")
    text = (tmp_path / "verify.json").read_text(encoding="utf-8")
    assert text == values.as_json("verify", failing)
    body = json.loads(text)
    assert (body["command"], body["passed"], body["files"][2]["failed"]) == ("verify", False, True)
    assert body["files"][1]["measured"][-1]["value"] is None, "infinite"


def test_reports_of_real_files(real: tuple[VerifyResult, VerifyResult], tmp_path: Path) -> None:
    for result, word in zip(real, ("passed", "failed"), strict=True):
        for suffix in writing.FORMATS:
            path = tmp_path / f"{word}{suffix}"
            writing.write(result, path)
            text = path.read_text(encoding="utf-8")
            for file in result.files:
                assert file.path.name in text
            assert result.files[0].parities[0].runner in text or suffix == ".md"
    assert "is not an ONNX file, or is damaged" in (tmp_path / "failed.md").read_text(encoding="utf-8")
