"""Variables over a file's data, by a schema of its own: text stays text, lists are numbered from 0."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from orchestrator.environ import override
from orchestrator.validate import Invalid


class Leaf(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1)] = "x"
    count: int = 0
    kind: Literal["a", "b"] = "a"
    maybe: str | None = None


class Tree(msgspec.Struct):
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    tags: Annotated[tuple[str, ...], Meta(max_length=20)] = ()


def over(data: dict[str, Any], **environ: str) -> dict[str, Any]:
    override(data, Tree, {f"ORCHESTRATOR__{key}": value for key, value in environ.items()})
    return data


@pytest.mark.parametrize("text", ["12", "true", "1979-05-27", '"quoted"', "[1]"])
@pytest.mark.parametrize("key", ["NAME", "KIND", "MAYBE"])
def test_what_is_meant_for_text_stays_as_it_is(key: str, text: str) -> None:
    assert over({}, **{f"LEAF__{key}": text}) == {"leaf": {key.lower(): text}}


def test_what_is_meant_for_a_number_is_read_as_toml_and_else_left_for_the_check_to_name() -> None:
    assert over({}, LEAF__COUNT="12") == {"leaf": {"count": 12}}
    assert over({}, LEAF__COUNT="many") == {"leaf": {"count": "many"}}


def test_members_of_a_list_are_overridden_and_added_in_the_order_of_their_numbers() -> None:
    data = {"leaves": [{"name": "first", "count": 1}]}
    environ = {f"LEAVES__{n}__NAME": f"n{n}" for n in range(12)}
    leaves = over(data, **environ)["leaves"]
    assert [leaf["name"] for leaf in leaves] == [f"n{n}" for n in range(12)]
    assert leaves[0]["count"] == 1
    assert over({}, TAGS__0="1", TAGS__1="2") == {"tags": ["1", "2"]}


@pytest.mark.parametrize(
    "variable", ["LEAVES__1__NAME", "LEAVES__X", "LEAVES__²", "LEAVES__-1", "LEAVES__999999"]
)
def test_a_number_that_leaves_a_gap_or_is_none_is_refused_by_the_variables_name(variable: str) -> None:
    with pytest.raises(Invalid) as invalid:
        over({"leaves": []}, **{variable: "x"})
    assert [fault.path for fault in invalid.value.faults] == [f"ORCHESTRATOR__{variable}"]


def test_a_variable_that_leads_into_a_value_is_refused() -> None:
    with pytest.raises(Invalid) as invalid:
        over({"leaf": {"name": "n"}}, LEAF__NAME__DEEPER="x")
    assert "leads into a value" in invalid.value.faults[0].message


def test_variables_of_other_programs_change_nothing() -> None:
    data: dict[str, Any] = {}
    override(data, Tree, {"ORCHESTRATOR": "x", "ORCHESTRATOR_LEAF": "y", "LEAF__NAME": "z"})
    assert data == {}
