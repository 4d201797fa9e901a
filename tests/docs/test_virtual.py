"""virtual-pbx.md says what the code says."""

from __future__ import annotations

import json

import msgspec
import pytest

from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.faults import Faults
from orchestrator.pbx.virtual.options import Virtual
from tests.docs.pages import names, rows, section

TABLES: dict[str, type[msgspec.Struct]] = {"## Callees": Callee, "## Settings": Virtual, "## Faults": Faults}


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    if field.default in (msgspec.NODEFAULT, None) or isinstance(field.default, msgspec.Struct):
        return "–"
    return f"`{json.dumps(field.default)}`"


@pytest.mark.parametrize("heading", TABLES)
def test_the_keys_and_defaults_are_those_of_the_code(heading: str) -> None:
    expected = {field.name: shown_default(field) for field in msgspec.structs.fields(TABLES[heading])}
    table = rows(section("virtual-pbx.md", heading))
    assert {names(key)[0]: default for key, default, *_ in table} == expected
