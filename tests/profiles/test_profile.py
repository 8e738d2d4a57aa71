"""What the files of devices say, and that it is what edgekit has."""

from __future__ import annotations

import inspect
import re
import tomllib
import typing
from pathlib import Path

import pytest

from edgekit import config, profiles
from edgekit.config import PrecisionName, Settings
from edgekit.errors import ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.profiles.checks import CHECKS
from edgekit.profiles.profile import Choice, Claim, DeviceProfile, Rule, Runtime, names, profile

FOLDER = Path(profiles.__file__).parent
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=names())
def device(request: pytest.FixtureRequest) -> DeviceProfile:
    return profile(request.param)


def test_the_devices() -> None:
    assert set(names()) == {path.stem for path in FOLDER.glob("*.toml")}
    assert {"raspberrypi3", "raspberrypi4", "raspberrypi5", "raspberrypizero2", "android", "x86", "x86-vnni"} < {
        *names()
    }
    assert {"nvidia-gpu", "apple-neural-engine", "edgetpu", "hexagon-htp", "ethos-u55", "ethos-u65"} < {*names()}


@pytest.mark.parametrize(
    ("name", "said"),
    [("raspberypi4", "unknown device 'raspberypi4': did you mean 'raspberrypi4'?"), ("moon", "choose from android, ")],
)
def test_an_unknown_device(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        profile(name)


def test_its_settings_are_settings(device: DeviceProfile) -> None:
    settings = config.load(None, {"export": {"device": device.name}})
    for section, values in device.settings.items():
        for key, value in values.items():
            found = getattr(getattr(settings, section), key)
            assert found == (tuple(value) if isinstance(value, list) else value)
    assert set(settings.export.targets) <= set(device.formats) <= set(FORMATS)
    assert set(settings.export.precisions) <= set(device.precisions) <= set(typing.get_args(PrecisionName))


def test_everything_has_a_source(device: DeviceProfile) -> None:
    entries: tuple[Claim | Runtime | Choice | Rule, ...] = (*device.runtimes, *device.choices, *device.rules)
    for entry in (device.claim, *entries):
        if not entry.source.startswith("https://"):
            assert entry.source.endswith(".md")
            assert (ROOT / entry.source).is_file(), entry.source


def test_it_says_what_a_profile_has_to(device: DeviceProfile) -> None:
    said = {choice.what for choice in device.choices}
    assert {"format", "precision", "hard-swish"} <= said
    assert ("int8" not in device.settings["export"]["precisions"]) or {"boundary", "weights"} <= said
    for lists in (device.choices, device.rules):
        keys = [getattr(entry, "what", getattr(entry, "name", None)) for entry in lists]
        assert len(keys) == len(set(keys))


def test_its_rules_can_be_checked(device: DeviceProfile) -> None:
    for rule in device.rules:
        assert rule.format in {"", *device.formats}
        assert rule.effect in {"refused", "slower", "wrong"}
        assert rule.basis in {"documented", "reported"}
        assert rule.remedy.count("{") == 0
        _, *limits = inspect.signature(CHECKS[rule.check]).parameters.values()
        needed = {limit.name for limit in limits if limit.default is limit.empty}
        assert needed <= set(rule.limits) <= {limit.name for limit in limits}


def test_no_check_without_a_rule() -> None:
    used = {rule.check for name in names() for rule in profile(name).rules}
    assert used == set(CHECKS)


def test_likeness_takes_over_what_is_not_said() -> None:
    pi, other = profile("raspberrypi4"), profile("raspberrypi3")
    own = tomllib.loads((FOLDER / "raspberrypi3.toml").read_text(encoding="utf-8"))
    assert own["like"] == "raspberrypi4"
    assert (other.formats, other.claim, other.runtimes) == (pi.formats, pi.claim, pi.runtimes)
    assert other.title == "Raspberry Pi 3"
    changed = {choice["what"] for choice in own["choice"]}
    for before, after in zip(pi.choices, other.choices, strict=True):
        assert before.what == after.what
        assert (before == after) == (before.what not in changed)
    assert "--device raspberrypi3 " in other.rules[0].remedy


def test_a_key_that_a_profile_has_not_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (FOLDER / "edgetpu.toml").read_text(encoding="utf-8")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    for wrong in (
        text.replace('layout = "NHWC"', 'layout = "NHWC"\ncolour = "green"'),
        text.replace("because", "why", 1),
    ):
        (tmp_path / "edgetpu.toml").write_text(wrong, encoding="utf-8")
        with pytest.raises(TypeError, match=r"colour|why"):
            profile.__wrapped__("edgetpu")


# --- settings of a device ---------------------------------------------------------------------------------------------


def test_what_is_given_wins_over_the_profile(tmp_path: Path) -> None:
    (tmp_path / "edgekit.toml").write_text('[export]\ndevice = "x86"\ntargets = ["torch"]\n[calibration]\nimages = 7\n')
    settings = config.load(tmp_path / "edgekit.toml", {"export": {"io_dtype": "uint8", "device": None}})
    assert (settings.export.device, settings.export.targets) == ("x86", ("torch",))
    assert (settings.export.precisions, settings.export.io_dtype) == (("int8",), "uint8")
    assert (settings.calibration.weight_bits, settings.calibration.images) == (7, 7)
    other = config.load(tmp_path / "edgekit.toml", {"export": {"device": "edgetpu"}})
    assert (other.export.device, other.export.io_dtype) == ("edgetpu", "int8")
    assert (other.export.targets, other.calibration.weight_bits) == (("torch",), 8)


def test_channels_are_multiples_of_what_the_device_s_kernels_compute_at_once() -> None:
    """XNNPACK's tiles for a Cortex-A72, a Cortex-A53 and dot products, and the channels that an NPU stores together."""
    wanted = {"raspberrypi4": 8, "raspberrypi3": 16, "raspberrypizero2": 16, "raspberrypi5": 16, "x86": 8}
    for name, multiple in {**wanted, "ethos-u85": 16, "hexagon-htp": 32, "edgetpu": 8}.items():
        assert config.load(None, {"export": {"device": name}}).prune.multiple == multiple
    assert config.load(None, {"export": {"device": "hexagon-htp"}, "prune": {"multiple": 4}}).prune.multiple == 4


def test_settings_of_a_manifest_are_what_they_were() -> None:
    settings = config.load(None, {"export": {"device": "x86", "io_dtype": "int8"}})
    values = config.to_values(settings, Path.cwd())
    assert config.from_values(values, Path("manifest.json")).calibration == settings.calibration
    values["calibration"]["weight_bits"] = 8  # the profile does not come back
    assert config.from_values(values, Path("manifest.json")).calibration.weight_bits == 8


@pytest.mark.parametrize("value", ["rpi", "raspberrypi44", 4])
def test_an_unknown_device_in_a_file(value: object, tmp_path: Path) -> None:
    (tmp_path / "edgekit.toml").write_text(f"[export]\ndevice = {value!r}")
    with pytest.raises(ConfigError, match=r"unknown device|text is wanted"):
        config.load(tmp_path / "edgekit.toml")
    assert Settings().export.device is None
