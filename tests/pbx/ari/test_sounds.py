"""Which sounds are missing. Tier: unit."""

from orchestrator.pbx.ari.sounds import compare
from orchestrator.pbx.port import SoundCheck


def test_a_sound_not_listed_is_missing_and_named_once() -> None:
    found = compare("orchestrator", ["en/a", "en/b", "en/b", "zh/a"], ["en/a", "other"])
    assert found == SoundCheck(missing=("en/b", "zh/a"), checked=4)


def test_a_deeper_prefix_is_part_of_asterisks_id() -> None:
    assert compare("custom/voices", ["en/a", "en/b"], ["voices/en/a"]).missing == ("en/b",)
