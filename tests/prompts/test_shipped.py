"""The sounds and templates that come with the package."""

import pytest

from orchestrator.prompts import check_templates, length, load_library, packaged_root, prepare


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_code_is_spelt_in_each_shipped_language(language: str) -> None:
    library = load_library([packaged_root()])
    prepared = prepare(
        library, language, "code", code="4938170", variables={}, plays=2, default_language="en"
    )
    assert prepared.language == language
    digits = library.languages[language].digits
    for playlist in prepared.plays:
        spelt = [item.text for item in playlist if item.sound.startswith(f"{language}/digits/")]
        assert "".join(text or "" for text in spelt) == "4938170"
        assert 3_000 < length(playlist) < 30_000
    assert {name.split("/")[0] for name in digits.values()} == {"digits"}


def test_every_shipped_sound_lies_there_in_both_g711_encodings() -> None:
    for sound in load_library([packaged_root()]).sounds.values():
        assert sound.encodings == ("alaw", "ulaw"), sound.id


def test_every_shipped_template_can_be_spoken() -> None:
    assert check_templates(load_library([packaged_root()])) == ()
