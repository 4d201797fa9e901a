"""One item of a notice: a template, a sound or a free text."""

import traceback
from pathlib import Path

import pytest

from orchestrator.prompts import (
    EngineFailed,
    EngineMissing,
    Item,
    Library,
    PreparedItem,
    PromptError,
    SoundMissing,
    SsmlInvalid,
    TemplateNotFound,
    Utterance,
    VariablesInvalid,
    check_templates,
    load_library,
    prepare,
    prepare_item,
)
from tests.prompts.small_library import Room, wav


class Recorder:
    """An engine that remembers what it was given."""

    def __init__(self) -> None:
        self.heard: list[Utterance] = []

    def speak(self, utterance: Utterance) -> Item:
        self.heard.append(utterance)
        return Item(f"speech/{len(self.heard)}", 1234, "spoken")


class Broken:
    """An engine that fails."""

    def speak(self, utterance: Utterance) -> Item:
        raise EngineFailed("the engine ended with status 1", "look at its log")


@pytest.fixture(scope="module")
def library(small_root: Path) -> Library:
    return load_library([small_root])


def item(library: Library, engine: Recorder | Broken | None = None, **what: str) -> PreparedItem:
    return prepare_item(library, "en-GB", variables={}, default_language="en", engine=engine, **what)


def sounds(prepared: PreparedItem) -> list[str]:
    return [item.sound for item in prepared.playlist]


def test_an_item_of_a_template_is_one_play_of_it(room: Room) -> None:
    library = room.library(t="<speak>{{ who }}{% if play == plays %}，您好{% endif %}</speak>")
    prepared = prepare_item(library, "zh-CN", template="t", variables={"who": "您好"}, default_language="en")
    assert prepared.language == "zh"
    assert sounds(prepared) == ["zh/phrases/hello", "silence/200", "zh/phrases/hello"]


def test_an_item_of_a_sound_is_that_sound(library: Library) -> None:
    assert sounds(item(library, sound="phrases/bob")) == ["en/phrases/bob"]
    assert sounds(item(library, sound="zh/phrases/hello")) == ["zh/phrases/hello"]


def test_an_operators_own_recordings_lie_beside_the_languages(small_root: Path, tmp_path: Path) -> None:
    wav(tmp_path / "own/closing.wav", 700)
    library = load_library([small_root, tmp_path])
    prepared = item(library, sound="own/closing")
    assert [(i.sound, i.ms, i.text) for i in prepared.playlist] == [("own/closing", 700, "own/closing")]


@pytest.mark.parametrize("name", ["own/closing", "../en/phrases/bob", "", "a" * 200, "phrases/bob.wav"])
def test_a_sound_that_is_not_there_is_refused_without_its_name(library: Library, name: str) -> None:
    with pytest.raises(SoundMissing) as caught:
        item(library, sound=name)
    assert not name or name not in str(caught.value)


@pytest.mark.parametrize(
    "what", [{}, {"sound": "phrases/bob", "text": "Bob"}, {"template": "code", "text": "x"}]
)
def test_an_item_is_exactly_one_of_the_three(library: Library, what: dict[str, str]) -> None:
    with pytest.raises(VariablesInvalid, match="exactly one"):
        prepare_item(library, "en", variables={}, default_language="en", **what)  # type: ignore[arg-type]  # texts


def test_a_text_that_recorded_phrases_cover_is_spoken_by_them(library: Library) -> None:
    engine = Recorder()
    assert sounds(item(library, engine, text=" hello,\n BOB! ")) == [
        "en/phrases/hello", "silence/200", "en/phrases/bob",
    ]  # fmt: skip
    assert engine.heard == []


def test_any_other_text_is_spoken_whole_by_the_engine(library: Library) -> None:
    engine = Recorder()
    prepared = item(library, engine, text="Hello Bob.\n Your   parcel is here.")
    assert sounds(prepared) == ["speech/1"]
    assert engine.heard == [Utterance(text="Hello Bob. Your parcel is here.", language="en")]


def test_a_text_is_no_markup(library: Library) -> None:
    engine = Recorder()
    text = 'Hello <break time="10s"/> &amp; {{ code }} </speak><audio src="phrases/bob"/>'
    item(library, engine, text=text)
    assert engine.heard[0].text == text


def test_a_text_without_an_engine_is_refused_without_being_shown(library: Library) -> None:
    with pytest.raises(EngineMissing) as caught:
        item(library, text="Your Rumpel" + "stiltskin")
    assert "Rumpelst" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_what_an_engine_says_reaches_the_caller_of_it(library: Library) -> None:
    with pytest.raises(EngineFailed, match="status 1"):
        item(library, Broken(), text="Your parcel")


@pytest.mark.parametrize(
    "text", ["", "  \n", " ... ", "x" * 5000, "a\0b", "\ue000Bob", "\ud800", "a" * 9_000_000]
)
def test_a_text_that_cannot_be_spoken_is_refused(library: Library, text: str) -> None:
    engine = Recorder()
    with pytest.raises(VariablesInvalid):
        item(library, engine, text=text)
    assert engine.heard == []


def test_an_unknown_template_of_an_item_is_named(library: Library) -> None:
    with pytest.raises(TemplateNotFound, match='"nope"'):
        item(library, template="nope")


def test_what_an_item_becomes_is_not_shown(library: Library) -> None:
    assert repr(item(library, text="Bob")) == "PreparedItem(language='en', items=1, seconds=1)"


# ── an engine beside recorded sounds ──────────────────────────────────────────────────────────────────


def spoken(
    room: Room, body: str, code: str | None = None, **variables: str | int | float
) -> tuple[list[str], list[Utterance]]:
    engine = Recorder()
    prepared = prepare(
        room.library(t=f"<speak>{body}</speak>"),
        "en",
        "t",
        code=code,
        variables=variables,
        plays=1,
        default_language="en",
        engine=engine,
    )
    return [item.sound for item in prepared.plays[0]], engine.heard


def test_a_run_of_text_is_spoken_by_one_voice(room: Room) -> None:
    body = "Hello Bob. <s>Hello, dear Bob!</s><s>Bob</s>"
    heard, given = spoken(room, body)
    assert heard == [
        "en/phrases/hello", "en/phrases/bob", "silence/400", "speech/1", "silence/400", "en/phrases/bob",
    ]  # fmt: skip
    assert [utterance.text for utterance in given] == ["Hello, dear Bob!"]


def test_the_mark_that_ends_an_engines_text_pauses(room: Room) -> None:
    heard, _ = spoken(room, "Dear friend, <audio src='phrases/bob'/>; dear")
    assert heard == ["speech/1", "silence/200", "en/phrases/bob", "silence/200", "speech/2"]


def test_without_a_code_the_engine_is_given_variables(room: Room) -> None:
    _, given = spoken(room, "Dear {{ who }}, welcome", who="<break/> Zoë")
    assert given == [Utterance(text="Dear <break/> Zoë, welcome", language="en")]


@pytest.mark.parametrize(
    "body",
    [
        "Dear {{ who }}",
        "Dear {{ code }}",
        "{% macro m() %}Dear{% endmacro %}{{ m() }}",
        "{% set x %}Dear{% endset %}{{ x }}",
        "{{ 'Dear' ~ code }}",
        "{{ 'Dear' }}{{ code }}",
        "<lang xml:lang='zh'>{{ code }}</lang>",
    ],
)
def test_with_a_code_the_engine_is_given_nothing_that_is_made(room: Room, body: str) -> None:
    with pytest.raises(SoundMissing) as caught:
        spoken(room, body, code="493817", who="Zoë")
    assert "4938" not in str(caught.value)
    assert "Zo" not in str(caught.value)


@pytest.mark.parametrize("element", ["<voice name='{{ who }}'>", "<prosody rate='{{ who }}%'>"])
def test_with_a_code_no_variable_chooses_how_an_engine_speaks(room: Room, element: str) -> None:
    body = f"{element}Dear</{element[1:].split()[0]}>"
    with pytest.raises(SsmlInvalid, match="the prompt has a code"):
        spoken(room, body, code="0100", who="100")
    assert spoken(room, body, who="100")[1][0].text == "Dear"


def test_with_a_code_the_template_s_own_words_go_to_the_engine(room: Room) -> None:
    body = 'Dear friend <say-as interpret-as="digits">{{ code }}</say-as> so long'
    heard, given = spoken(room, body, code="4938")
    assert [utterance.text for utterance in given] == ["Dear friend", "so long"]
    assert heard[0] == "speech/1"
    assert [name for name in heard if "digits" in name] == [f"en/digits/{digit}" for digit in "4938"]


def test_an_engine_s_failure_names_the_template_and_the_line(room: Room) -> None:
    with pytest.raises(PromptError, match=r'template "t", line 3 \(en\): the engine ended') as caught:
        prepare(
            room.library(t="<speak>\n<s>Hello</s>\n<s>Dear</s></speak>"),
            "en", "t", code=None, variables={}, plays=1, default_language="en", engine=Broken(),
        )  # fmt: skip
    assert isinstance(caught.value, EngineFailed)
    assert caught.value.__context__ is None


def test_the_doctor_gives_free_text_to_the_engine_and_knows_what_a_code_forbids(room: Room) -> None:
    library = room.library(
        parcel="<speak>Dear {{ who }}, your parcel is here</speak>",
        coded="<speak>Dear {{ who }}<say-as interpret-as='digits'>{{ code }}</say-as></speak>",
    )
    silent = {(fault.language, fault.template) for fault in check_templates(library)}
    assert silent == {("en", "parcel"), ("en", "coded"), ("zh", "parcel"), ("zh", "coded")}
    spoken = {(fault.language, fault.template) for fault in check_templates(library, Recorder())}
    assert spoken == {("en", "coded"), ("zh", "coded")}


# ── prosody and voice ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attributes", "rate", "pitch", "volume"),
    [
        ('rate="80%"', 0.8, 0, 0),
        ('rate="+10%"', 1.1, 0, 0),
        ('rate="-50%"', 0.5, 0, 0),
        ('rate="x-slow"', 0.6, 0, 0),
        ('rate="default"', 1, 0, 0),
        ('pitch="+2st"', 1, 2, 0),
        ('pitch="-1.5st"', 1, -1.5, 0),
        ('pitch="+100%"', 1, 12, 0),
        ('pitch="low" volume="soft"', 1, -3, -6),
        ('volume="-20dB"', 1, 0, -20),
        ('rate="200%" pitch="-12st" volume="+6dB"', 2, -12, 6),
    ],
)
def test_prosody_reaches_the_engine(
    room: Room, attributes: str, rate: float, pitch: float, volume: float
) -> None:
    _, given = spoken(room, f"<prosody {attributes}>Dear</prosody>")
    assert (given[0].rate, given[0].pitch, given[0].volume) == pytest.approx((rate, pitch, volume))


def test_prosody_adds_up_within_bounds_and_ends_with_its_element(room: Room) -> None:
    deep = '<prosody rate="60%" pitch="-8st" volume="-15dB">'
    _, given = spoken(room, f"<voice name='zf_xiaoyi'>{deep}{deep}Dear</prosody></prosody> me</voice> you")
    assert given == [
        Utterance(text="Dear", language="en", voice="zf_xiaoyi", rate=0.5, pitch=-12, volume=-20),
        Utterance(text="me", language="en", voice="zf_xiaoyi"),
        Utterance(text="you", language="en"),
    ]


def test_recorded_sounds_are_played_as_they_are(room: Room) -> None:
    heard, given = spoken(room, '<prosody rate="fast"><voice name="x">Hello</voice></prosody>')
    assert (heard, given) == (["en/phrases/hello"], [])


@pytest.mark.parametrize(
    "element",
    [
        "prosody",
        *(f'prosody rate="{rate}"' for rate in ("", "49%", "201%", "1", "+101%", "1e9%", "fastest")),
        *(f'prosody pitch="{pitch}"' for pitch in ("200Hz", "+13st", "2st", "-51%", "-100%", "50%")),
        *(f'prosody volume="{volume}"' for volume in ("silent", "+7dB", "-21dB", "50", "+1db")),
        "voice",
        *(f'voice name="{name}"' for name in ("", "a b", "../x", "-x", "a" * 65, "x;y", "é")),
        'voice gender="female"',
        'prosody range="high"',
    ],
)
def test_prosody_and_voice_out_of_bounds_are_refused(room: Room, element: str) -> None:
    with pytest.raises(SsmlInvalid):
        room.heard(f"<{element}>Hello</{element.split()[0]}>")
