"""What is printed: aligned, on the right stream, and as JSON that any parser takes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
import typer

from edgekit.cli import console
from edgekit.errors import ArtifactError, GateFailed, MissingDependency


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    path: Path
    error: float

    @property
    def passed(self) -> bool:
        return self.error == 0


@dataclass(frozen=True)
class Outer:
    files: tuple[Inner, ...]
    colour: Colour
    by_size: dict[int, int]


def test_json_holds_fields_and_properties(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json("paint", Outer((Inner(Path("a/ä"), float("nan")),), Colour.RED, {3: 1}))
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 3,
        "command": "paint",
        "files": [{"path": "a/ä", "error": None, "passed": False}],
        "colour": "red",
        "by_size": {"3": 1},
    }


def test_on_a_terminal_a_text_goes_on_where_it_began(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "20"), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    console.table(["", "file"], [["✔", "a.onnx"], "     one two three four five"])
    plain = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert [line.rstrip() for line in plain.splitlines()[2:]] == ["     one two three", "     four five"]


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("columns", [None, "", "wide", "0"])
def test_in_a_pipe_nothing_is_broken(
    columns: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    sentence = "one two three four five " * 20
    console.say(sentence)
    console.note(sentence)
    out, err = capsys.readouterr()
    assert (out.count("\n"), err.count("\n")) == (1, 1)


def test_in_a_pipe_lines_are_as_wide_as_columns_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    sentence = "one two three four five six seven"
    console.note(sentence)
    console.warn(sentence)
    console.say(sentence)
    console.facts("net", [("a", sentence)])
    console.table(["", "file", "of"], [["✔", "a name that is long.onnx, and whole", "x"], f"  {sentence}"])
    out, err = capsys.readouterr()
    assert [line.rstrip() for line in err.splitlines()] == [
        *("one two three four five six", "seven"),
        *("! one two three four five six", "seven"),
    ]
    assert [line.rstrip() for line in out.splitlines()] == [
        *("one two three four five six", "seven"),
        *("net", "a  one two three four five six", "   seven"),
        f"   {'file':35}  of",
        "✔  a name that is long.onnx, and whole  x",
        *("  one two three four five six", "  seven"),
    ]


def test_a_table_is_aligned_and_never_broken(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(
        ["", "file", ">size"],
        [["✔", console.escape("a[1].onnx"), "9 B"], "  in a runtime with a long name", ["–", "b", "1.25 MB"]],
    )
    assert capsys.readouterr().out.splitlines() == [
        "   file          size",
        "✔  a[1].onnx      9 B",
        "  in a runtime with a long name",
        "–  b          1.25 MB",
    ]


def test_a_table_that_is_too_wide_breaks_its_last_column_and_goes_without_some(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    rows = [["a.png", "1.25", "7", "one two three four five"], ["b.png", "9", "7", "six"]]
    console.table(["image", ">ms", ">n", "answer"], rows, spare=[">n", ">ms"])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "image  answer",
        "a.png  one two three four five",
        "b.png  six",
        "left out, for want of width:",
        "n, ms",
    ]
    console.table(["image", "answer"], [["a.png", console.escape("one two [three] four five six")], ["b.png", "six"]])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "image  answer",
        "a.png  one two [three] four",
        "       five six",
        "b.png  six",
    ]


def test_facts_are_never_broken_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    console.facts("[net]", [("operators", "x " * 200), ("labels", "")])
    title, operators, labels = capsys.readouterr().out.splitlines()
    assert title == "[net]"
    assert operators.split() == ["operators", *["x"] * 200]
    assert labels == "labels"


def test_facts_are_broken_between_words_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "40"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    console.facts("net", [("operators", "27 CONV_2D, 16 MUL, 14 ADD, 7 DEPTHWISE_CONV_2D")])
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert lines == [
        "net",
        "operators  27 CONV_2D, 16 MUL, 14 ADD, 7",
        "           DEPTHWISE_CONV_2D",
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [(ArtifactError("broken"), 2), (GateFailed("too far off"), 1), (MissingDependency("pip install x"), 3)],
)
def test_an_error_is_one_sentence_and_its_code(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, console.reporting("verify", as_json=False):
        raise error
    assert ended.value.exit_code == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"✘ {error}\n")
    with pytest.raises(typer.Exit) as ended, console.reporting("verify", as_json=True):
        raise error
    assert ended.value.exit_code == code
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 3,
        "command": "verify",
        "error": {"type": type(error).__name__, "message": str(error)},
        "exit_code": code,
    }


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(AssertionError, match="ours"), console.reporting("verify", as_json=False):
        raise AssertionError("ours")


def test_ctrl_c_is_told_on_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, console.reporting("bench", as_json=True):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_notes_and_stages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("by the [way]")
    console.warn("the [images] look wrong")
    with console.progress_bar() as progress:
        for done in range(3):
            progress("loading", done, 1)
            progress("calibrating", done, 1200)
    assert capsys.readouterr() == ("", "by the [way]\n! the [images] look wrong\nloading\ncalibrating (1200)\n")


def test_what_takes_long_in_a_pipe_is_foretold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second a step: after ten of them the rest is known; where little is left, nothing is said."""
    now = [0.0]
    monkeypatch.setattr("edgekit.cli.console.time.monotonic", lambda: now[0])
    with console.progress_bar() as progress:
        for stage, steps in (("timing", 300), ("checking", 15)):
            for done in range(steps):
                progress(stage, done, steps)
                now[0] += 1
    assert capsys.readouterr().err == "timing (300)\ntiming: about 5 min are left\nchecking (15)\n"


def test_a_bar_on_a_terminal_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with console.progress_bar() as progress:
        for done in range(3):
            progress("loading", done // 2, 1)
            progress("calibrating", done, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "calibrating" in err
    assert err.endswith("\x1b[1A\x1b[2K\x1b[?25h\r")  # up one line, clear it, show the cursor


def test_skipped_images_are_named_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    console.skipped({})
    console.skipped({f"{i}.png": "it is no image" for i in range(4)})
    assert capsys.readouterr().err == (
        "4 images skipped (0.png: it is no image; 1.png: it is no image; 2.png: it is no image; …): "
        "--strict refuses them\n"
    )
