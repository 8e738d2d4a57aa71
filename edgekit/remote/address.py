"""Where a device is: ssh://[user@]host[:port], or adb://[serial]."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from edgekit.errors import ConfigError

_SCHEMES = ("ssh", "adb")
_FORMS = "write it as ssh://[user@]host[:port] or adb://[serial]"


@dataclass(frozen=True, slots=True)
class Address:
    """Of a device.

    Attributes:
        text: as the user wrote it.
        scheme: "ssh" or "adb".
        host: or its alias in ~/.ssh/config; a phone's serial, or nothing where there is but one phone.
        user: None where ssh's configuration says it.
        port: likewise.
    """

    text: str
    scheme: str
    host: str
    user: str | None = None
    port: int | None = None


def parse(text: str) -> Address:
    """What is meant by an address.

    Raises:
        ConfigError: it is none.

    >>> parse("ssh://pi@raspberrypi.local:2222")
    Address(text='ssh://pi@raspberrypi.local:2222', scheme='ssh', host='raspberrypi.local', user='pi', port=2222)
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--device {text}: {error}: {_FORMS}") from error
    if parts.scheme not in _SCHEMES or not text.startswith(f"{parts.scheme}://"):
        raise ConfigError(f"--device {text} is no address: {_FORMS}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"--device {text} names more than a device: {_FORMS}")
    if parts.scheme == "adb":
        return Address(text, "adb", parts.netloc)  # serials hold colons: 192.168.1.5:5555
    if parts.password is not None:
        raise ConfigError(
            "--device holds a password, which everyone can read in the list of processes: ssh asks for it"
        )
    host = _as_written(parts)
    # What begins with a dash is an option to ssh, and those can start programs.
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise ConfigError(f"--device {text} names no host: {_FORMS}")
    return Address(text, "ssh", host, parts.username, port)


def _as_written(parts: SplitResult) -> str:
    """The host in the case that it was written in: aliases in ~/.ssh/config tell it apart."""
    lower = parts.hostname or ""
    start = parts.netloc.lower().rfind(lower)
    return parts.netloc[start : start + len(lower)]
