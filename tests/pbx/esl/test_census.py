"""What FreeSWITCH's list of channels says. Tier: unit."""

import json

import pytest

from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl.census import outbound, strangers


def test_only_outbound_channels_are_looked_at() -> None:
    rows = [
        {"uuid": "a", "direction": "outbound", "application_data": "en/digits/4.wav"},
        {"uuid": "b", "direction": "inbound"},
        {"uuid": "", "direction": "outbound"},
    ]
    assert outbound(json.dumps({"row_count": 3, "rows": rows})) == ("a",)


def test_no_channels_are_a_list_without_rows() -> None:
    assert outbound('{"row_count":0}\n') == ()


@pytest.mark.parametrize("text", ["", "-ERR no", "[]", '{"rows":5}', "[" * 100_000])
def test_what_is_no_list_is_a_protocol_error(text: str) -> None:
    with pytest.raises(PbxProtocolError):
        outbound(text)


def test_strangers_are_those_that_nobody_knows_each_once() -> None:
    assert strangers(["a", "b", "b", "c"], {"a", "x"}) == ("b", "c")
