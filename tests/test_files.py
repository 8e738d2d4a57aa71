"""Writing files: all of it or nothing, and what is said where it fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgekit.errors import BadInput
from edgekit.files import replacing, same_bytes, size_bytes, staging, write_bytes


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def make_folder(path: Path, **content: bytes) -> None:
    path.mkdir()
    for name, data in content.items():
        (path / name).write_bytes(data)


def test_a_new_file_with_its_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"new")
    assert tree(tmp_path) == {"a/b/c.bin": b"new"}


def test_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    write_bytes(tmp_path / "x", b"new")
    assert tree(tmp_path) == {"x": b"new"}


def test_the_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_bytes(tmp_path / "x", b"new")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("before", ["nothing", "an empty folder", "a folder", "a file"])
def test_a_folder_takes_any_place(tmp_path: Path, before: str) -> None:
    path = tmp_path / "x.mlpackage"
    if before == "a file":
        path.write_bytes(b"old")
    elif before != "nothing":
        make_folder(path, **({"old": b"old"} if before == "a folder" else {}))
    with replacing(path) as temporary:
        assert temporary.name == path.name
        make_folder(temporary, new=b"new")
    assert tree(tmp_path) == {"x.mlpackage/new": b"new"}


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    make_folder(tmp_path / "photos", precious=b"1")
    with pytest.raises(BadInput, match="photos is a folder"):
        write_bytes(tmp_path / "photos", b"new")
    assert tree(tmp_path) == {"photos/precious": b"1"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("before", ["nothing", "a folder", "a file"])
def test_after_a_failure_everything_is_as_before(tmp_path: Path, before: str, failure: type[BaseException]) -> None:
    path = tmp_path / "x"
    if before == "a folder":
        make_folder(path, old=b"old")
    elif before == "a file":
        path.write_bytes(b"old")
    there = tree(tmp_path)
    with pytest.raises(failure), replacing(path) as temporary:  # noqa: PT012 - what is half done is the point
        make_folder(temporary, half=b"half")
        raise failure
    assert tree(tmp_path) == there
    assert sorted(tmp_path.iterdir()) == ([] if before == "nothing" else [path])


def test_a_folder_comes_back_if_its_successor_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.mlpackage"
    make_folder(path, old=b"old")
    rename = os.rename

    def fails_for_the_new_one(source: Path, target: Path) -> None:
        if os.fspath(target) == os.fspath(path) and not os.fspath(source).endswith(".previous"):
            raise OSError(errno.EIO, "Input/output error", os.fspath(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_for_the_new_one)
    with pytest.raises(BadInput, match="Input/output error"), replacing(path) as temporary:
        make_folder(temporary, new=b"new")
    assert tree(tmp_path) == {"x.mlpackage/old": b"old"}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_failures_of_the_disk_are_explained(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught, replacing(tmp_path / "x"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path / "x") in str(caught.value)


def test_failures_at_other_files_are_not_mistaken_for_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), replacing(tmp_path / "x"):
        (tmp_path / "other").read_bytes()
    with pytest.raises(BadInput, match="x"), replacing(tmp_path / "x") as temporary:
        (temporary / "deep" / "file").write_bytes(b"")


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "deep" / "x"):
        with pytest.raises(BadInput, match="is not a folder"):
            write_bytes(path, b"")


def test_the_size_of_files_and_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"123")
    write_bytes(tmp_path / "sub" / "b", b"45678")
    assert size_bytes(tmp_path / "a") == 3
    assert size_bytes(tmp_path) == 8


def test_what_is_staged_is_published_together(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staging(out) as ready:
        assert ready.relative_to(out).parts[0].startswith(".")
        (ready / "a").write_bytes(b"1")
        make_folder(ready / "b.mlpackage", part=b"2")
        assert tree(tmp_path / "deep").keys() == {
            str((ready / name).relative_to(tmp_path / "deep")) for name in ("a", "b.mlpackage/part")
        }
    assert tree(tmp_path) == {"deep/out/a": b"1", "deep/out/b.mlpackage/part": b"2"}
    assert sorted(out.iterdir()) == [out / "a", out / "b.mlpackage"]


def earlier_output(out: Path) -> None:
    make_folder(out, a=b"old", c=b"untouched")
    make_folder(out / "b.mlpackage", old=b"old")


def stage_new_output(ready: Path) -> None:
    (ready / "a").write_bytes(b"new")
    make_folder(ready / "b.mlpackage", new=b"new")
    (ready / "z").write_bytes(b"new")


OLD = {"a": b"old", "c": b"untouched", "b.mlpackage/old": b"old"}
NEW = {"a": b"new", "c": b"untouched", "b.mlpackage/new": b"new", "z": b"new"}


@pytest.mark.parametrize("links", [True, False])
def test_published_files_take_the_place_of_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:

        def refuse(path: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "Operation not permitted", str(path), None, str(target))

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    earlier_output(tmp_path / "out")
    with staging(tmp_path / "out") as ready:
        stage_new_output(ready)
    assert tree(tmp_path / "out") == NEW
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b.mlpackage", "c", "z"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existed", [True, False])
def test_after_a_failure_nothing_is_published(tmp_path: Path, failure: type[BaseException], *, existed: bool) -> None:
    out = tmp_path / "deep" / "out"
    if existed:
        out.parent.mkdir()
        earlier_output(out)
    with pytest.raises(failure), staging(out) as ready:  # noqa: PT012 - what is half done is the point
        stage_new_output(ready)
        raise failure
    assert tree(tmp_path) == ({f"deep/out/{name}": data for name, data in OLD.items()} if existed else {})
    assert list(tmp_path.iterdir()) == ([tmp_path / "deep"] if existed else [])


@pytest.mark.parametrize("failure", [OSError(errno.EIO, os.strerror(errno.EIO)), KeyboardInterrupt()])
@pytest.mark.parametrize("fails_at", ["a", "b.mlpackage", "z"])
@pytest.mark.parametrize("moved", [True, False])
def test_a_failure_while_publishing_undoes_what_was_published(
    tmp_path: Path, fails_at: str, failure: BaseException, monkeypatch: pytest.MonkeyPatch, *, moved: bool
) -> None:
    out = tmp_path / "out"
    earlier_output(out)
    replace = Path.replace

    def fails(path: Path, target: Path) -> Path:
        if path.parent.name == "ready" and path.name == fails_at:
            if moved:  # an interrupt may come before or after
                replace(path, target)
            raise failure
        return replace(path, target)

    with pytest.raises((BadInput, KeyboardInterrupt)), staging(out) as ready:  # noqa: PT012 - as above
        stage_new_output(ready)
        monkeypatch.setattr(Path, "replace", fails)
    assert tree(out) == OLD
    assert {path.name for path in out.iterdir()} == {"a", "b.mlpackage", "c"}


def test_a_staged_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    make_folder(tmp_path / "z", precious=b"1")
    with pytest.raises(BadInput, match="z is a folder"), staging(tmp_path) as ready:  # noqa: PT012 - as above
        (ready / "a").write_bytes(b"new")
        (ready / "z").write_bytes(b"new")
    assert tree(tmp_path) == {"z/precious": b"1"}


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(BadInput, match="file is not a folder"), staging(out):
            pass
    assert tree(tmp_path) == {"file": b""}


def test_failures_inside_name_the_final_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput) as caught, staging(tmp_path / "out") as ready:
        write_bytes(ready / "net.onnx", b"1")
    assert str(tmp_path / "out" / "net.onnx") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_compared_by_their_bytes(tmp_path: Path) -> None:
    for name, content in (("a", {"x": b"1"}), ("b", {"x": b"1"}), ("c", {"x": b"2"}), ("d", {"x": b"1", "y": b""})):
        make_folder(tmp_path / name, **content)
    assert same_bytes(tmp_path / "a", tmp_path / "b")
    assert not same_bytes(tmp_path / "a", tmp_path / "c")
    assert not same_bytes(tmp_path / "a", tmp_path / "d")
    assert same_bytes(tmp_path / "a" / "x", tmp_path / "d" / "x")
    assert not same_bytes(tmp_path / "a", tmp_path / "a" / "x")
    assert not same_bytes(tmp_path / "a", tmp_path / "missing")
