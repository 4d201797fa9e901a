"""From a template and a code to what is played."""

import traceback
from pathlib import Path

import msgspec
import pytest

from orchestrator.prompts import (
    Item,
    LanguageInvalid,
    Library,
    LibraryError,
    Prepared,
    PromptError,
    SoundMissing,
    TemplateNotFound,
    VariablesInvalid,
    check_templates,
    describe,
    length,
    load_library,
    prepare,
    write_wav,
)
from orchestrator.prompts.sound import pcm
from tests.prompts.small_library import Room, wav


@pytest.fixture(scope="module")
def library(small_root: object) -> Library:
    return load_library([small_root])  # type: ignore[list-item]  # a Path


def made(library: Library, code: str = "4938", plays: int = 2, language: str = "en") -> Prepared:
    return prepare(library, language, "code", code=code, variables={}, plays=plays, default_language="en")


def test_a_code_prompt_greets_then_spells_the_code_digit_by_digit(library: Library) -> None:
    playlist = made(library).plays[0]
    assert [item.sound for item in playlist] == [
        "en/phrases/hello", "silence/400", "en/phrases/your-verification-code-is", "silence/400",
        "en/digits/4", "silence/300", "en/digits/9", "silence/300", "en/digits/3", "silence/300",
        "en/digits/8", "silence/1000",
    ]  # fmt: skip
    assert playlist[4].ms == 140
    assert length(playlist) == sum(row.ms for row in describe(playlist))


def test_each_play_has_a_playlist_of_its_own(room: Room) -> None:
    library = room.library(t="<speak>{% if play == plays %}Bob{% else %}Hello{% endif %}</speak>")
    prepared = prepare(library, "en", "t", code=None, variables={}, plays=3, default_language="en")
    assert [play[0].text for play in prepared.plays] == ["Hello", "Hello", "Bob"]


def test_a_chinese_prompt_is_matched_by_characters(library: Library) -> None:
    prepared = made(library, code="10", language="zh-Hans-CN")
    assert prepared.language == "zh"
    assert [item.sound for item in prepared.plays[0]] == [
        "zh/phrases/hello", "silence/200", "zh/phrases/code", "silence/300",
        "zh/digits/1", "silence/300", "zh/digits/0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "found"),
    [("en", "en"), ("EN-us", "en"), ("zh-CN", "zh"), ("zh-x-own", "zh"), ("fr", "en"), ("eng", "en")],
)
def test_a_language_falls_back_to_a_wider_one_and_then_to_the_default(
    library: Library, tag: str, found: str
) -> None:
    assert library.resolve(tag, "en").tag == found


@pytest.mark.parametrize(
    "tag", ["", "../en", "en_US", "e", "en-", "en--us", "én", "en\n", "en" + "-abcdefgh" * 4]
)
def test_a_malformed_language_tag_is_refused(library: Library, tag: str) -> None:
    with pytest.raises(LanguageInvalid):
        library.resolve(tag, "en")


def test_a_default_language_that_is_not_there_names_those_that_are(library: Library) -> None:
    with pytest.raises(LibraryError, match="one of: en, zh"):
        library.resolve("fr", "de")


@pytest.mark.parametrize("name", ["../code", "code.ssml", "Code", "", "a" * 65, "code\n", "en/code"])
def test_a_template_name_is_checked_before_anything_is_looked_up(library: Library, name: str) -> None:
    with pytest.raises(TemplateNotFound, match="1 to 64"):
        prepare(library, "en", name, code="1", variables={}, plays=1, default_language="en")


def test_a_template_that_is_not_there_is_named_with_those_that_are(library: Library) -> None:
    with pytest.raises(TemplateNotFound, match=r'no template "notice".*one of: code'):
        prepare(library, "en", "notice", code="1", variables={}, plays=1, default_language="en")


@pytest.mark.parametrize("plays", [0, 10])
def test_plays_out_of_range_are_refused(library: Library, plays: int) -> None:
    with pytest.raises(PromptError, match="between 1 and 9"):
        made(library, plays=plays)


@pytest.mark.parametrize(
    "variables",
    [
        {"play": 1}, {"plays": 1}, {"code": "x"}, {"a b": 1}, {" steps": 1}, {"x" * 65: 1}, {"a": "\0"},
        {"a": "\ud800"}, {"a": "\ue000"}, {"a": "x" * 5000}, {"a": 10**16}, {"a": float("inf")},
        {"a": None}, {"a": ["x"]}, {f"a{n}": 1 for n in range(101)}, {f"a{n}": "x" * 4000 for n in range(5)},
    ],
)  # fmt: skip
def test_variables_that_no_template_may_see_are_refused(library: Library, variables: dict[str, str]) -> None:
    with pytest.raises(VariablesInvalid):
        prepare(library, "en", "code", code="1", variables=variables, plays=1, default_language="en")


def test_neither_repr_nor_rich_shows_what_is_spelt(library: Library) -> None:
    pretty = pytest.importorskip("rich.pretty")
    prepared = made(library)
    playlist = prepared.plays[0]
    for value in (prepared, playlist, playlist[4], describe(playlist), Item("en/digits/4", 140, "4")):
        for text in (repr(value), str(value), pretty.pretty_repr(value)):
            assert "digits" not in text
            assert "140" not in text
    assert repr(made(library)) == "Prepared(language='en', plays=2, items=24, seconds=10)"


def test_a_prepared_prompt_survives_serialisation(library: Library) -> None:
    prepared = made(library)
    for codec in (msgspec.msgpack, msgspec.json):
        assert codec.decode(codec.encode(prepared), type=Prepared) == prepared


def test_describe_gives_start_sound_length_and_text(library: Library) -> None:
    rows = describe(made(library).plays[0])
    assert (rows[0].start, rows[0].sound, rows[0].text) == (0, "en/phrases/hello", "Hello")
    assert rows[2].start == rows[0].ms + rows[1].ms
    assert (rows[1].text, rows[4].text) == ("", "4")


def test_the_wav_holds_the_sounds_one_after_the_other(library: Library, tmp_path: object) -> None:
    prepared = made(library, code="07")
    samples = pcm(library, prepared.plays)
    one = pcm(library, prepared.plays[:1])
    assert len(one) == length(prepared.plays[0]) * 16
    assert samples == one + bytes(400 * 16) + one
    # Samples of digit n are n + 1 in the small library.
    tail = (1).to_bytes(2, "little") * 800 + bytes(300 * 16) + (8).to_bytes(2, "little") * 1360 + bytes(16000)
    assert one.endswith(tail)
    path = tmp_path / "heard.wav"  # type: ignore[operator]  # a Path
    path.touch(mode=0o644)
    write_wav(library, prepared.plays, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().endswith(tail)


def test_an_engines_sounds_are_read_from_their_own_folder(library: Library, tmp_path: Path) -> None:
    wav(tmp_path / "4f0c.wav", 100, 77)
    playlist = (Item("speech/4f0c", 100, "Dear"),)
    assert pcm(library, [playlist], {"speech": tmp_path}) == (77).to_bytes(2, "little") * 800
    with pytest.raises(LibraryError, match="not in the library"):
        pcm(library, [playlist])


def test_the_doctor_hears_of_each_template_that_cannot_be_spoken(room: Room) -> None:
    library = room.library(
        fine='<speak>Hello {{ name }} <say-as interpret-as="digits">{{ code }}</say-as></speak>',
        silent="<speak><break/></speak>",
        unrecorded="<speak>Nobody recorded this</speak>",
        _part="Nobody recorded this",
    )
    faults = check_templates(library)
    assert {(fault.language, fault.template) for fault in faults} == {
        ("en", "silent"), ("en", "unrecorded"), ("zh", "silent"), ("zh", "unrecorded"), ("zh", "fine"),
    }  # fmt: skip
    assert any('"Nobody recorded this"' in fault.message for fault in faults)


def test_no_error_keeps_another_one_that_might_hold_a_secret(room: Room) -> None:
    with pytest.raises(SoundMissing) as caught:
        room.play("<speak>{{ name }}</speak>", name="Rumpel" + "stiltskin")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "Rumpelstiltskin" not in "".join(traceback.format_exception(caught.value))
