"""What an operator may say about a node. Tier: unit."""

from typing import Any

import pytest

from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxConfigError

GOOD: dict[str, Any] = {
    "name": "ast1",
    "url": "http://127.0.0.1:8088/ari",
    "username": "orchestrator",
    "password": "hush-hush",
    "app": "orchestrator",
    "dial": "PJSIP/{number}@carrier",
}


def test_good_settings_are_taken_and_hide_the_password() -> None:
    settings = AriSettings(**GOOD)
    assert "hush-hush" not in repr(settings) + str(settings) + repr(settings.__rich_repr__())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ws://127.0.0.1:8088/ari"),
        ("url", "127.0.0.1:8088"),
        ("url", "http://user:hush-hush@127.0.0.1:8088/ari"),
        ("url", "http://127.0.0.1:8088/ari?api_key=hush-hush"),
        ("app", "two words"),
        ("app", "a,b"),
        ("app", ""),
        ("dial", "PJSIP/100@carrier"),
        ("dial", "PJSIP/{number}{number}@carrier"),
        ("dial", "{number}"),
        ("dial", "PJSIP/{0}@carrier"),
        ("sounds_prefix", "../etc"),
        ("sounds_prefix", ""),
        ("request_timeout", 0),
        ("max_inflight", 0),
        ("password", ""),
        ("password", "line\nbreak"),
        ("username", "a:b"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name_without_quoting_secrets(
    field: str, value: object
) -> None:
    with pytest.raises(PbxConfigError) as caught:
        AriSettings(**{**GOOD, field: value})
    assert field in str(caught.value)
    assert "ast1" in str(caught.value)
    assert "hush-hush" not in str(caught.value)
