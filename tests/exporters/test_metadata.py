"""What every file says about itself: a text that comes back as it went in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.exporters import metadata
from edgekit.exporters.metadata import IoDtype, Metadata, Precision
from edgekit.preprocessing import Normalization, Preprocessing

if TYPE_CHECKING:
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

channels = st.tuples(*[st.floats(-1e3, 1e3, allow_nan=False)] * 3)
preprocessings = st.builds(
    Preprocessing,
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    resize=st.none() | st.just("whole") | st.integers(1, 4096) | st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    mean=channels,
    std=channels,
    order=st.sampled_from(["RGB", "BGR"]),
)
descriptions = st.builds(
    Metadata,
    network=st.text(),
    precision=st.sampled_from(Precision),
    io_dtype=st.sampled_from(IoDtype),
    preprocessing=preprocessings,
    normalization=st.builds(Normalization, mean=channels, std=channels),
    pixel_input=st.booleans(),
    labels=st.lists(st.text()).map(tuple),
    lowering=st.text(),
    provenance=st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans())),
)


@settings(deadline=None, max_examples=50)
@given(descriptions)
def test_a_description_comes_back_as_it_went_in(description: Metadata) -> None:
    assert Metadata.from_json(description.to_json()) == description


@settings(deadline=None, max_examples=50)
@given(descriptions)
def test_equal_descriptions_have_equal_texts(description: Metadata) -> None:
    shuffled = dict(reversed(list(description.provenance.items())))
    assert replace(description, provenance=shuffled).to_json() == description.to_json()


def test_the_text_is_readable_and_has_a_version(integer_model: IntegerModel) -> None:
    text = metadata.of_integer_model(integer_model, IoDtype.INT8).to_json()
    assert "größe" in text
    values = json.loads(text)
    assert values["schema_version"] == metadata.SCHEMA_VERSION
    assert (values["precision"], values["io_dtype"]) == ("int8", "int8")


def test_an_int8_file_says_what_its_input_means(integer_model: IntegerModel) -> None:
    left = Normalization((114.0, 114.0, 114.0), (57.5, 57.5, 57.5))
    description = metadata.of_integer_model(replace(integer_model, normalization=left, pixel_input=True), IoDtype.UINT8)
    assert (description.normalization, description.pixel_input) == (left, True)
    assert description.preprocessing == integer_model.preprocessing
    assert description.lowering == integer_model.lowering


def test_a_float_file_has_a_float32_boundary(float_model: FloatModel) -> None:
    description = metadata.of_float_model(float_model, Precision.FLOAT16)
    assert (description.precision, description.io_dtype) == (Precision.FLOAT16, IoDtype.FLOAT32)
    assert description.normalization == float_model.preprocessing.normalization
    assert (description.pixel_input, description.lowering) == (False, "float")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"network": "n"}', "{"])
def test_other_texts_are_no_descriptions(text: str) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        Metadata.from_json(text)
