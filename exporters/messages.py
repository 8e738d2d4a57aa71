"""What a protobuf message holds beside the fields that edgekit reads: nothing that is unknown goes unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    # Of each type of message, by its full name, the fields that may be set; types that are left out may hold anything.
    Known = Mapping[str, frozenset[str]]


def surplus(message: Any, known: Known) -> Iterator[tuple[str | None, str]]:  # noqa: ANN401 - protobuf has no types
    """What is set in a message, or in one within it, although it is not among the known fields.

    Yields:
        The nearest name around it ("features.0.conv"; None where nothing around it has one), and the field
        ("graph.sparse_initializer") or, of bytes that belong to no field of the format, that there are some.
    """
    yield from _within(message, known, None, "")


def _within(message: Any, known: Known, owner: str | None, path: str) -> Iterator[tuple[str | None, str]]:  # noqa: ANN401 - as above
    # It comes with onnx and with coremltools; who has a message has one of them.
    from google.protobuf.unknown_fields import UnknownFieldSet  # noqa: PLC0415

    allowed = known.get(message.DESCRIPTOR.full_name)
    owner = _name(message) or owner if path else None
    if stray := len(UnknownFieldSet(message)):
        yield owner, f"{stray} field{'s' if stray > 1 else ''} in {path or 'the file'} that the format does not have"
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        if allowed is not None and field.name not in allowed:
            yield owner, here
        elif field.message_type is not None:
            for inner in _messages(field, value):
                yield from _within(inner, known, owner, here)


def _name(message: Any) -> str | None:  # noqa: ANN401 - as above
    """What a message makes, or else its own name."""
    made = getattr(message, "output", None) or getattr(message, "outputs", None)
    if made:
        return str(getattr(made[0], "name", made[0]))
    name = getattr(message, "name", None)
    return name if isinstance(name, str) and name else None


def _messages(field: Any, value: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    """The messages that a field holds: one, several, or the values of a map."""
    if field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            yield from value.values()
    elif hasattr(value, "ListFields"):
        yield value
    else:
        yield from value
