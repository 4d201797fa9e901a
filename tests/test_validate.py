"""Validation: each fault found in one pass, by path."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from orchestrator.validate import MOST_FAULTS, Fault, Invalid, convert, decode, nearest, valid_fields


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, description="At least 1.")]
    colour: Literal["red", "green"] = "red"


class Tree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    named: dict[Annotated[str, Meta(pattern="^[a-z]+$")], int] = {}
    from_: str = ""
    tags: Annotated[list[str], Meta(max_length=2)] | None = None


def paths(data: object) -> list[str]:
    with pytest.raises(Invalid) as refused:
        convert(data, Tree)
    return [fault.path for fault in refused.value.faults]


def test_faults_are_found_at_every_depth() -> None:
    data = {
        "leaf": {"size": 0, "colour": "blue", "x": 1},
        "leaves": [{"size": 1}, {}, {"size": "1"}, 7],
        "named": {"A1": 1, "b": "2"},
        "from": 1,
        "tags": ["a", "b", "c"],
    }
    assert sorted(paths(data)) == sorted(
        [
            "$.leaf.x", "$.leaf.size", "$.leaf.colour", "$.leaves[1].size", "$.leaves[2].size", "$.leaves[3]",
            "$.named.A1", "$.named.b", "$.from", "$.tags",
        ]
    )  # fmt: skip


def test_a_choice_is_told_with_what_there_is_and_not_with_what_was_given() -> None:
    with pytest.raises(Invalid) as refused:
        convert({"leaf": {"size": 1, "colour": "blue"}}, Tree)
    assert str(refused.value) == "$.leaf.colour: Not one of red, green."


def test_a_description_says_the_mend() -> None:
    with pytest.raises(Invalid, match="At least 1"):
        convert({"leaf": {"size": 0}}, Tree)


@pytest.mark.parametrize("data", [None, 1, "x", [], True])
def test_what_is_no_object_is_one_fault_at_the_root(data: object) -> None:
    assert paths(data) == ["$"]


def test_valid_data_is_converted() -> None:
    data = {"leaf": {"size": 2}, "leaves": [{"size": 1, "colour": "green"}], "named": {"a": 1}, "from": "x"}
    made = convert(data, Tree)
    assert made == Tree(Leaf(2), (Leaf(1, "green"),), {"a": 1}, "x")
    assert decode(msgspec.json.encode(data), Tree) == made


def test_the_valid_fields_come_under_their_names_in_python() -> None:
    raw = b'{"from": "x", "leaf": {"size": 0}, "named": {"a": 1}, "tags": null}'
    assert valid_fields(raw, Tree) == {"from_": "x", "named": {"a": 1}, "tags": None}
    assert valid_fields(b"[]", Tree) == {}


def test_the_nearest_word_or_none() -> None:
    assert nearest("leef", ["leaf", "from"]) == " Did you mean `leaf`?"
    assert nearest("zzzz", ["leaf", "from"]) == ""


def test_a_fault_prints_as_path_and_message() -> None:
    assert str(Invalid([Fault("$.a", "no"), Fault("$.b", "no")])) == "$.a: no; $.b: no"


def test_a_name_that_stands_twice_is_no_way_past_the_first_of_the_two() -> None:
    assert decode(b'{"from": "a", "from": "b"}', Tree).from_ == "b"
    for raw in (b'{"from": 1, "from": "b"}', b'{"leaf": {"size": 0, "size": 1}}'):
        with pytest.raises(Invalid, match="stands twice"):
            decode(raw, Tree)


def test_of_thousands_of_faults_a_hundred_are_told() -> None:
    many: list[object] = [
        {f"x{n}": 0 for n in range(5000)},
        {"leaves": [{"x": 0}] * 5000},
        {"named": {f"A{n}": 0 for n in range(5000)}},
    ]
    for data in many:
        with pytest.raises(Invalid) as refused:
            convert(data, Tree)
        assert len(refused.value.faults) == MOST_FAULTS + 1
        assert refused.value.faults[-1].path == "$"
