"""The subset of SSML, and what is refused of the rest."""

import pytest

from orchestrator.prompts import PromptTooLong, SoundMissing, SsmlInvalid, prepare
from tests.prompts.small_library import Room


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("HELLO", ["phrases/hello"]),
        ("  “Hello!”  ", ["phrases/hello"]),
        (
            "Hello. Your  verification\n code is",
            ["phrases/hello", "silence/400", "phrases/your-verification-code-is"],
        ),
        ("Hello, Bob", ["phrases/hello", "silence/200", "phrases/bob"]),
        ("Hello Bob", ["phrases/hello", "phrases/bob"]),
        ("Your verification. Hello", ["phrases/your-verification", "silence/400", "phrases/hello"]),
        ("Your, verification", ["phrases/your-verification"]),
        ("Goodbye... Thank you!?", ["phrases/goodbye-thank-you"]),
        ("Hello<!-- a comment -->, <![CDATA[Bob]]>", ["phrases/hello", "silence/200", "phrases/bob"]),
        (
            "<p><s>Hello</s><s>Bob</s></p><p>Hello</p>",
            ["phrases/hello", "silence/400", "phrases/bob", "silence/500", "silence/100", "phrases/hello"],
        ),
    ],
)
def test_text_is_spoken_by_the_longest_recorded_phrases(room: Room, text: str, sounds: list[str]) -> None:
    assert room.heard(text) == sounds


@pytest.mark.parametrize(
    ("attributes", "silences"),
    [
        ('time="300ms"', [300]),
        ('time="1.2s"', [1000, 200]),
        ('time="250ms"', [300]),
        ('time="249ms"', [200]),
        ('time="40ms"', []),
        ('time="0s"', []),
        ('time="10s"', [5000, 5000]),
        ('time=".5s"', [500]),
        ('time="+9900ms"', [5000, 2000, 2000, 500, 400]),
        ("", [400]),
        ('strength="none"', []),
        ('strength="x-weak"', [100]),
        ('strength="weak"', [200]),
        ('strength="medium"', [400]),
        ('strength="strong"', [500, 200]),
        ('strength="x-strong"', [1000]),
        ('time="600ms" strength="weak"', [500, 100]),
    ],
)
def test_a_break_is_made_of_the_shipped_silences(room: Room, attributes: str, silences: list[int]) -> None:
    # The break stands in the place of the pause that the full stop asks for.
    heard = room.heard(f"Hello. <break {attributes}/> Bob")
    assert heard == ["phrases/hello", *[f"silence/{ms}" for ms in silences], "phrases/bob"]


@pytest.mark.parametrize(
    "attributes",
    [
        'time="10001ms"',
        'time="-1s"',
        'time="1"',
        'time="1e3ms"',
        'time="1 s"',
        'time=""',
        'strength="loud"',
        'time="１s"',
    ],
)
def test_a_break_that_is_no_time_or_too_long_is_refused(room: Room, attributes: str) -> None:
    with pytest.raises(SsmlInvalid, match="<break>"):
        room.heard(f"Hello<break {attributes}/>")


def test_digits_ignore_separators_and_characters_take_letters_of_either_case(room: Room) -> None:
    spelt = [name for name in room.heard('<say-as interpret-as="digits">12-3 4</say-as>') if "digits" in name]
    assert spelt == ["digits/1", "digits/2", "digits/3", "digits/4"]
    assert room.heard('<say-as interpret-as="characters">aB 7</say-as>') == [
        "letters/a",
        "silence/300",
        "letters/b",
        "silence/300",
        "digits/7",
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('<say-as interpret-as="digits">12a</say-as>', SsmlInvalid),
        ('<say-as interpret-as="digits">１</say-as>', SsmlInvalid),
        ('<say-as interpret-as="digits"> - </say-as>', SsmlInvalid),
        ('<say-as interpret-as="characters">a#</say-as>', SsmlInvalid),
        ('<say-as interpret-as="characters">é</say-as>', SoundMissing),
        ("<say-as>1</say-as>", SsmlInvalid),
        ('<say-as interpret-as="digits"><s>1</s></say-as>', SsmlInvalid),
    ],
)
def test_say_as_refuses_what_it_cannot_spell(room: Room, body: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        room.heard(body)


@pytest.mark.parametrize("kind", ["fraction", "spell-out", "address", "measure"])
def test_another_interpret_as_is_not_supported_yet_by_name(room: Room, kind: str) -> None:
    with pytest.raises(SsmlInvalid, match=f'"{kind}" of <say-as> is not supported yet'):
        room.heard(f'<say-as interpret-as="{kind}">1</say-as>')


@pytest.mark.parametrize("name", ["emphasis", "sub", "phoneme", "mark", "lexicon", "w", "desc", "token"])
def test_other_elements_of_ssml_are_not_supported_yet_by_name(room: Room, name: str) -> None:
    with pytest.raises(SsmlInvalid, match=f"<{name}> is not supported yet"):
        room.heard(f"<{name}>Hello</{name}>")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("<speak><blink>Hello</blink></speak>", "no element <blink>"),
        ("<speak><ssml:s>Hello</ssml:s></speak>", "no element <ssml:s>"),
        ('<speak><s rate="1">Hello</s></speak>', "no attribute rate of <s>"),
        ('<speak><lang xml:lang="en" onlangfailure="ignoretext">Hello</lang></speak>', "not supported yet"),
        ("<p>Hello</p>", "begins with <p>"),
        ("<speak><speak>Hello</speak></speak>", "<speak> may not stand in <speak>"),
        ("<speak><s><p>Hello</p></s></speak>", "<p> may not stand in <s>"),
        ("<speak>Hello", "not well-formed"),
        ("Hello", "not well-formed"),
        ("", "not well-formed"),
        ("<speak>&nbsp;</speak>", "not well-formed"),
        ("<!DOCTYPE speak><speak>Hello</speak>", "DOCTYPE"),
        ('<!DOCTYPE speak [<!ENTITY a "Hello">]><speak>&a;</speak>', "DOCTYPE"),
        ("<speak><?php ?>Hello</speak>", "processing instruction"),
        ('<speak version="2.0">Hello</speak>', "version"),
        ('<speak xmlns="urn:other">Hello</speak>', "namespace"),
        ("<speak> . </speak>", "says nothing"),
        ("<speak><lang>Hello</lang></speak>", "no xml:lang"),
        ('<speak xml:lang="de">Hello</speak>', '"de"'),
    ],
)
def test_what_is_not_in_the_subset_is_refused_clearly(room: Room, source: str, says: str) -> None:
    with pytest.raises(SsmlInvalid) as caught:
        room.play(source)
    assert says in str(caught.value)


def test_an_xml_declaration_and_its_encoding_do_no_harm(room: Room) -> None:
    source = '{% set x = 1 %}\n<?xml version="1.0" encoding="ISO-8859-1"?>\n<speak>您好</speak>'
    assert [item.sound for item in room.play(source, language="zh")] == ["zh/phrases/hello"]


def test_audio_plays_a_sound_of_the_language_or_of_another(room: Room) -> None:
    assert room.heard(
        '<audio src="phrases/bob"/><audio src="zh/phrases/hello"/><audio src="silence/500"/>'
    ) == [
        "phrases/bob",
        "zh/phrases/hello",
        "silence/500",
    ]


def test_audio_that_is_not_there_is_replaced_by_its_content(room: Room) -> None:
    assert room.heard('<audio src="phrases/none">Hello</audio>') == ["phrases/hello"]
    assert room.heard('<audio src="phrases/bob">Hello</audio>') == ["phrases/bob"]
    with pytest.raises(SoundMissing, match='"phrases/none"'):
        room.heard('<audio src="phrases/none"> </audio>')


@pytest.mark.parametrize(
    "src",
    ["../en/x", "/etc/passwd", "http://example.org/a.wav", "a//b", "a/", "A", "a.wav", "", "a" * 129, "a b"],
)
def test_audio_takes_the_name_of_a_sound_and_nothing_else(room: Room, src: str) -> None:
    with pytest.raises(SsmlInvalid, match="src of <audio>"):
        room.heard(f'<audio src="{src}">Hello</audio>')


def test_lang_switches_phrases_and_digits_inside(room: Room) -> None:
    body = 'Hello <lang xml:lang="zh-CN">您好 <say-as interpret-as="digits">1</say-as></lang> Bob'
    assert room.heard(body) == [
        "phrases/hello",
        "zh/phrases/hello",
        "silence/300",
        "zh/digits/1",
        "silence/300",
        "phrases/bob",
    ]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("<speak>\n\n  Hello\n  Nobody said this\n</speak>", 'template "t", line 4 (en)'),
        ("{# a\ncomment #}\n<speak>\n{% if 1 %}\n<blink/>{% endif %}</speak>", 'template "t", line 5 (en)'),
        ("{% for n in [1, 2] %}\nx\n{% endfor %}<speak>\n<s>Hello</b></speak>", 'template "t", line 2 (en)'),
        ("<speak>{% for n in [1, 2] %}\n Hello\n{% endfor %}\n<mark/></speak>", 'template "t", line 4 (en)'),
        ("<speak>\n{{ nobody }}</speak>", 'template "t", line 2 (en)'),
    ],
)
def test_a_fault_names_the_template_and_the_line_in_it(room: Room, source: str, place: str) -> None:
    with pytest.raises((SoundMissing, SsmlInvalid, Exception)) as caught:
        room.play(source)
    assert str(caught.value).startswith(place)


def test_a_fault_in_an_included_template_names_that_one(room: Room) -> None:
    library = room.library(t="<speak>\n{% include '_part' %}</speak>", _part="Hello\n\n<mark/>\n")
    with pytest.raises(SsmlInvalid, match='template "_part", line 3'):
        prepare(library, "en", "t", code=None, variables={}, plays=1, default_language="en")


@pytest.mark.parametrize(
    "body",
    [
        "<audio src='a'>" * 40 + "Hello" + "</audio>" * 40,
        "Hello " * 501,
        "Hello" + "<break time='10s'/>Hello" * 61,
    ],
)
def test_a_prompt_that_is_too_deep_or_long_is_refused(room: Room, body: str) -> None:
    with pytest.raises(PromptTooLong):
        room.heard(body)


def test_a_document_of_more_than_64_kib_is_refused(room: Room) -> None:
    part = "<!--" + "x" * 30_000 + "-->"
    with pytest.raises(PromptTooLong):
        room.play(f"<speak>{{% for n in range(3) %}}{part}{{% endfor %}}Hello</speak>")


def test_a_long_text_is_not_torn_where_a_buffer_ends(room: Room) -> None:
    assert room.heard("Hello " * 3 + " " * 25_000 + "Hello") == ["phrases/hello"] * 4


def test_a_text_without_a_phrase_is_quoted_with_the_mend(room: Room) -> None:
    with pytest.raises(SoundMissing, match='speaks "dear customer"; record it, or add it to'):
        room.heard("Hello dear customer. Hello")
