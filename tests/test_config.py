"""edgekit.toml and the flags over it: every key has a type, and a mistake names the place and the way out."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import config
from edgekit.config import BenchSettings, Settings, Typed
from edgekit.errors import ConfigError


def toml(folder: Path, text: str) -> Path:
    path = folder / "edgekit.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_default() -> None:
    assert config.load(None) == config.load(None, {"bench": {"laps": None}}) == Settings()


def test_every_section_of_a_file(tmp_path: Path) -> None:
    text = """
    [model]
    checkpoint = "trained/net.pth"
    classes = 5
    padding = "same"
    bn_eps = 1
    [preprocessing]
    resize = "whole"
    mean = [0, 0.5, 1]
    std = [1, 0.5, 0.25]
    order = "BGR"
    [calibration]
    data = "/images"
    method = "mse"
    strict = true
    [export]
    targets = ["coreml", "torch"]
    precisions = ["int8", "float16"]
    onnxruntime = "1.10"
    [verify]
    images = 7
    [bench]
    laps = 3
    """
    path = toml(tmp_path, text)
    settings = config.load(path)
    assert settings.source == path
    assert settings.model.checkpoint == tmp_path / "trained/net.pth"
    assert (settings.model.classes, settings.model.padding) == (5, "same")
    assert isinstance(settings.model.bn_eps, float)
    assert settings.preprocessing.resize == "whole"
    assert settings.preprocessing.mean == (0.0, 0.5, 1.0)
    assert settings.calibration.data == Path("/images")
    assert settings.calibration.strict
    assert settings.export.targets == ("coreml", "torch")
    assert settings.export.onnxruntime == "1.10"
    assert settings.export.out == Path("exported")  # a default is no path of the file's
    assert (settings.verify.images, settings.bench.laps) == (7, 3)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = toml(tmp_path, "\N{BYTE ORDER MARK}[model]\nclasses = 5\n")
    assert config.load(path).model.classes == 5


def test_flags_win_and_their_paths_start_here(tmp_path: Path) -> None:
    path = toml(tmp_path, '[export]\nout = "there"\n[bench]\nlaps = 3\nthreads = [2]')
    settings = config.load(path, {"export": {"out": Path("here")}, "bench": {"laps": 9, "threads": None}})
    assert settings.export.out == Path("here")
    assert settings.bench == BenchSettings(threads=(2,), laps=9)


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.load(toml(tmp_path, '[verify]\ndata = "~/images"')).verify.data == tmp_path / "images"
    assert config.load(None, {"verify": {"data": Typed("~/images")}}).verify.data == tmp_path / "images"


WRONG = [
    ("[exprt]\nx = 1", r"unknown section \[exprt\]: did you mean 'export'\?"),
    (
        "[xyz]",
        r"unknown section \[xyz\]: choose from bench, calibration, export, finetune, model, preprocessing, prune, ",
    ),
    ("[source]", "unknown section"),
    ("export = 3", r"export is a section: write \[export\] and its keys below"),
    ("[export]\ntarget = ['onnx']", "unknown key export.target: did you mean 'targets'"),
    ("[export]\ntargets = ['tflight']", "export.targets is 'tflight': did you mean 'tflite'"),
    ("[export]\ntargets = 'onnx'", "export.targets is 'onnx': a list in brackets is wanted"),
    ("[export]\ntargets = []", "export.targets is empty"),
    (
        "[export]\nprecisions = [8]",
        "export.precisions is 8: 'float32' or 'float16' or 'int8' or 'dynamic' or 'weight-only' is wanted",
    ),
    ("[export]\nonnxruntime = 1.10", "export.onnxruntime is 1.1: text is wanted"),
    ("[model]\npadding = 'smae'", "model.padding is 'smae': did you mean 'same'"),
    ("[model]\ncheckpoint = 3", "model.checkpoint is 3: a path is wanted"),
    ("[model]\nclasses = true", "model.classes is True: a whole number is wanted"),
    ("[model]\nbn_eps = nan", "model.bn_eps is nan: a number is wanted"),
    ("[calibration]\nstrict = 1", "calibration.strict is 1: true or false is wanted"),
    ("[calibration]\nimages = 0", "calibration.images is 0: 1 or more is wanted"),
    ("[calibration]\npercentile = 50", "calibration.percentile is 50: above 50"),
    ("[calibration]\npercentile = 100.5", "at most 100"),
    ("[verify]\nimages = -1", "verify.images is -1"),
    ("[bench]\nlaps = 'ten'", "bench.laps is 'ten': a whole number is wanted"),
    ("[bench]\nlaps = 0", "bench.laps is 0: 1 or more"),
    ("[bench]\nthreads = [1, 0]", "bench.threads is 0: 1 or more"),
    ("[bench]\nthreads = []", "bench.threads is empty"),
    ("[bench]\nthreads = 'some'", "bench.threads is 'some': a list in brackets or 'all' is wanted"),
    ("[bench]\nbatches = [-1]", "bench.batches is -1: 1 or more"),
    (
        "[preprocessing]\nresize = 'all'",
        "preprocessing.resize is 'all': a whole number or HEIGHTxWIDTH or 'whole' or 'none' is wanted",
    ),
    ("[preprocessing]\nresize = 0", "preprocessing.resize is 0"),
    ("[preprocessing]\nresize = [219, 0]", "preprocessing.resize is 0"),
    ("[preprocessing]\nresize = [219]", r"preprocessing.resize is \[219\]: .* HEIGHTxWIDTH"),
    ("[model]\nresolution = '0x96'", "model.resolution is 0"),
    ("[model]\nresolution = '96 by 96'", "model.resolution is '96 by 96': a whole number or HEIGHTxWIDTH is wanted"),
    ("[preprocessing]\nmean = [0.5, 0.5, 0.5]", "belong together"),
    (
        "[preprocessing]\nmean = [0.5, 0.5]\nstd = [0.5]",
        "mean has 2 values: one a channel is wanted, 1, 3 or 4",
    ),
    ("[preprocessing]\nmean = [124, 116, 104]\nstd = [58, 57, 57]", "divide by 255, --mean 0.4863,0.4549,0.4078"),
    ("[preprocessing]\nmean = [0, 0, 0]\nstd = [1, 1, 0]", "positive numbers are wanted"),
    ("[preprocessing]\norder = 'rbg'", "preprocessing.order is 'rbg': did you mean 'RGB'"),
    ("[export", r"is not valid TOML: Expected '\]'"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_mistake_names_the_file_and_the_way_out(tmp_path: Path, text: str, said: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(ConfigError, match=said) as caught:
        config.load(path)
    assert str(caught.value).startswith(str(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        config.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config.load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("section", "key", "typed", "value"),
    [
        ("bench", "laps", "30", 30),
        ("preprocessing", "resize", "219x293", (219, 293)),
        ("preprocessing", "resize", "256", 256),
        ("model", "resolution", "[192, 256]", (192, 256)),
        ("bench", "threads", "all", "all"),
        ("bench", "threads", "[1, 2]", (1, 2)),
        ("model", "bn_eps", "1e-3", 1e-3),
        ("model", "checkpoint", "net.pth", Path("net.pth")),
        ("model", "labels", "2024", Path("2024")),
        ("calibration", "strict", "true", True),
        ("export", "targets", '["onnx", "torch"]', ("onnx", "torch")),
        ("export", "onnxruntime", "1.10", "1.10"),  # not the number 1.1
        ("export", "onnxruntime", '"1.10"', "1.10"),
        ("preprocessing", "resize", " whole ", "whole"),
    ],
)
def test_what_is_typed_becomes_what_the_key_wants(section: str, key: str, typed: str, value: object) -> None:
    settings = config.load(None, {section: {key: Typed(typed)}})
    assert getattr(getattr(settings, section), key) == value


@pytest.mark.parametrize(
    ("section", "key", "typed", "said"),
    [
        ("bench", "laps", "1.5", "bench.laps is '1.5': a whole number is wanted"),
        ("expart", "x", "1", r"unknown section \[expart\]: did you mean 'export'"),
        ("export", "tragets", "1", "unknown key export.tragets: did you mean 'targets'"),
    ],
)
def test_what_is_typed_wrongly(section: str, key: str, typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.load(None, {section: {key: Typed(typed)}})


TOML_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
KEYS = [
    (section, key.name)
    for section in (field.name for field in dataclasses.fields(Settings) if field.name not in {"source", "origins"})
    for key in dataclasses.fields(getattr(Settings(), section))
]


def outcome(path: Path | None, overrides: config.Overrides | None = None) -> Settings | None:
    try:
        return config.load(path, overrides)
    except ConfigError:
        return None


@given(where=st.sampled_from(KEYS), value=TOML_VALUES)
def test_any_value_is_taken_or_refused_with_a_sentence(
    where: tuple[str, str], value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    section, key = where
    path = toml(tmp_path_factory.getbasetemp(), f"[{section}]\n{key} = {json.dumps(value)}")
    settings = outcome(path)  # anything but a ConfigError fails this test
    if settings is not None and isinstance(value, int | float):
        assert math.isclose(getattr(getattr(settings, section), key), value)


@given(where=st.sampled_from(KEYS), value=TOML_VALUES.filter(lambda value: not isinstance(value, str)))
def test_what_is_typed_means_what_it_means_in_a_file(
    where: tuple[str, str], value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    section, key = where
    text = json.dumps(value)
    in_file = outcome(toml(tmp_path_factory.getbasetemp(), f"[{section}]\n{key} = {text}"))
    typed = outcome(None, {section: {key: Typed(text)}})
    if in_file is not None:  # else only a key that takes text may take it
        assert typed is not None
        assert getattr(typed, section) == getattr(in_file, section)
    elif typed is not None:
        assert str(getattr(getattr(typed, section), key)) == text


# --- as JSON values ---------------------------------------------------------------------------------------------------


@given(
    chosen=st.lists(st.tuples(st.sampled_from(KEYS), TOML_VALUES), max_size=6),
    paths=st.lists(st.sampled_from([("model", "labels"), ("export", "out"), ("verify", "data")]), max_size=3),
)
def test_settings_survive_as_json(
    chosen: list[tuple[tuple[str, str], object]],
    paths: list[tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.getbasetemp().resolve()
    settings = Settings()
    for (section, key), value in [*chosen, *((where, str(base / "x" / where[1])) for where in paths)]:
        settings = overridden(settings, section, key, value)
    values = json.loads(json.dumps(config.to_values(settings, base)))
    again = config.from_values(values, base / "manifest.json")
    assert again.source == base / "manifest.json"
    for section, key in KEYS:
        before, after = (resolved(getattr(getattr(s, section), key)) for s in (settings, again))
        assert after == before


def resolved(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(resolved, value))
    return value.resolve() if isinstance(value, Path) else value


def overridden(settings: Settings, section: str, key: str, value: object) -> Settings:
    """With another value where that is allowed."""
    found = outcome(None, {section: {key: value}})
    if found is None:
        return settings
    changed = dataclasses.replace(getattr(settings, section), **{key: getattr(getattr(found, section), key)})
    return dataclasses.replace(settings, **{section: changed})


def test_paths_read_from_the_folder_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "real" / "out").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "real" / "out", target_is_directory=True)
    (tmp_path / "real" / "net.pth").touch()
    paths = {"checkpoint": tmp_path / "real" / "net.pth", "labels": "/nowhere/labels.txt"}
    settings = config.load(None, {"model": paths, "verify": {"data": tmp_path / "images" / "*.png"}})
    for folder, up in ((tmp_path / "real" / "out", ".."), (tmp_path / "linked", ".."), (tmp_path / "real", ".")):
        values = config.to_values(settings, folder)
        assert values["model"]["checkpoint"] == (Path(up) / "net.pth").as_posix()
        assert values["model"]["labels"] == "/nowhere/labels.txt"  # has nothing in common with it but the root
        again = config.from_values(values, folder / "manifest.json")
        assert again.model.checkpoint is not None
        assert again.model.checkpoint.samefile(tmp_path / "real" / "net.pth")
        assert again.verify.data is not None
        assert again.verify.data.resolve() == tmp_path / "images" / "*.png"


def test_values_are_checked_as_those_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"m\.json: unknown key export\.target: did you mean 'targets'"):
        config.from_values({"export": {"target": "onnx"}}, tmp_path / "m.json")
    with pytest.raises(ConfigError, match=r"m\.json: calibration\.images is 0"):
        config.from_values({"calibration": {"images": 0}}, tmp_path / "m.json")
    assert config.from_values({"model": {"classes": None}}, tmp_path / "m.json").model == Settings().model


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"crop": 0.05}, "preprocessing.crop is 0.05"),
        ({"crop": 0.9, "resize": 256}, "both decide the resize"),
        ({"interpolation": "lanczos", "antialias": False}, "which always averages"),
        ({"interpolation": "cubic"}, "did you mean 'bicubic'"),
    ],
)
def test_how_images_are_resized_is_checked(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.load(None, {"preprocessing": values})


def test_an_older_spelling_of_a_key_is_read(tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    path.write_text('[finetune]\ndevice = "cpu"\n')
    assert config.load(path).finetune.accelerator == "cpu"
    for old, new in (("logits", "none"), ("softmax", "softmax")):
        path.write_text(f'[export]\nhead = "{old}"\n')
        assert config.load(path).export.probabilities == new
    path.write_text('[finetune]\ndevice = "cpu"\naccelerator = "cpu"\n')
    with pytest.raises(ConfigError, match=r"finetune\.device is now called accelerator, and both are given"):
        config.load(path)


def test_limits_are_a_table_whose_entries_are_set_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    path.write_text("[verify.limits]\ntop1 = 75\ndrop = 1.0\n")
    given = {"verify": {"limits.drop": config.Typed("100"), "limits.sqnr_db": config.Said(20, "--set")}}
    settings = config.load(path, given)
    assert settings.verify.limits == {"top1": 75.0, "drop": 100.0, "sqnr_db": 20.0}
    assert settings.origins["verify.limits"] == f"{path}, the command line, --set"
    with pytest.raises(ConfigError, match=r"verify\.limits\.top1 is 'high': a number is wanted"):
        config.load(path, {"verify": {"limits.top1": config.Typed("high")}})
    with pytest.raises(ConfigError, match=r"verify\.limits is 3: a table, with a key for each value, is wanted"):
        config.load(path, {"verify": {"limits": 3}})


def test_older_spellings_of_limits_are_still_read(tmp_path: Path) -> None:
    older = {"min_top1": 75, "min_top5": 90, "max_drop": 1, "min_agreement": 95, "min_sqnr_db": 12}
    path = tmp_path / "edgekit.toml"
    path.write_text("[verify]\n" + "".join(f"{key} = {value}\n" for key, value in older.items()))
    limits = {"top1": 75.0, "top5": 90.0, "drop": 1.0, "agreement": 95.0, "sqnr_db": 12.0}
    assert config.load(path).verify.limits == limits
    assert config.load(path, {"verify": {"max_drop": config.Typed("9")}}).verify.limits == limits | {"drop": 9.0}
    path.write_text("[verify]\nmax_drop = 1\n[verify.limits]\ndrop = 2\n")
    with pytest.raises(ConfigError, match=r"verify\.max_drop is now called limits\.drop, and both are given"):
        config.load(path)
