"""Addresses of devices."""

from __future__ import annotations

import pytest

from edgekit.errors import ConfigError
from edgekit.remote.address import Address, parse


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ssh://raspberrypi.local", ("ssh", "raspberrypi.local", None, None)),
        ("ssh://pi@192.168.1.5:2222/", ("ssh", "192.168.1.5", "pi", 2222)),
        ("ssh://pi@[fe80::1%25eth0]:22", ("ssh", "fe80::1%25eth0", "pi", 22)),
        ("ssh://MyPi", ("ssh", "MyPi", None, None)),  # aliases keep their case
        ("adb://", ("adb", "", None, None)),
        ("adb://192.168.1.5:5555", ("adb", "192.168.1.5:5555", None, None)),
        ("adb://R58M12ABCDE", ("adb", "R58M12ABCDE", None, None)),
    ],
)
def test_addresses(text: str, parts: tuple[str, str, str | None, int | None]) -> None:
    assert parse(text) == Address(text, *parts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raspberrypi4", "is no address: write it as ssh://"),
        ("pi@raspberrypi", "is no address"),
        ("ssh:raspberrypi", "is no address"),
        ("http://raspberrypi", "is no address"),
        ("ssh://", "names no host"),
        ("ssh://pi@", "names no host"),
        ("ssh://-oProxyCommand=reboot", "names no host"),
        ("ssh://-oProxyCommand=reboot@pi", "names no host"),
        ("ssh://pi/home/pi", "names more than a device"),
        ("ssh://pi:99999", "Port out of range"),
        ("ssh://pi:secret@host", "ssh asks for it"),
    ],
)
def test_what_is_none(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        parse(text)
    assert "secret" not in str(raised.value)
