"""`<say-as>` of numbers, dates, times, amounts and telephone numbers, from a template to the sounds."""

import traceback
from pathlib import Path

import pytest

from orchestrator.prompts import (
    Library,
    LibraryError,
    PromptError,
    SoundMissing,
    SsmlInvalid,
    VariablesInvalid,
    check_templates,
    load_library,
    packaged_root,
    prepare,
    prepare_item,
)
from tests.prompts.small_library import Room, language

TEMPLATE = (
    '<speak><say-as interpret-as="{{ kind }}"{% if form %} format="{{ form }}"{% endif %}>'
    "{{ value }}</say-as></speak>"
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "t.ssml").write_text(TEMPLATE, "utf-8")
    return load_library([packaged_root()], [folder])


def heard(library: Library, tag: str, kind: str, value: str | int | float, form: str = "") -> str:
    variables = {"kind": kind, "form": form, "value": value}
    item = prepare_item(library, tag, template="t", variables=variables, default_language="en")
    return " ".join(item.text for item in item.playlist if item.text)


@pytest.mark.parametrize(
    ("kind", "value", "form", "english", "chinese"),
    [
        ("cardinal", 1206, "", "one thousand two hundred six", "一千 两百 零六"),
        ("cardinal", -2.5, "", "minus two point five", "负 二点 五"),
        ("number", " 10,010 ", "", "ten thousand ten", "一万 零 一十"),
        ("ordinal", 3, "", "third", "第 三"),
        ("date", "2026-01-05", "", "January fifth twenty twenty-six", "二 零 二 六 年 一月 五日"),
        ("date", "5.1.", "dm", None, None),
        ("date", "5/1", "dm", "January fifth", "一月 五日"),
        ("time", "14:05", "", "two oh five p.m.", "下午 两点 零五 分"),
        ("currency", "CNY 1234.05", "", None, "一千 两百 三十 四元 零 五分"),
        ("currency", "$12.50", "", "twelve dollars and fifty cents", "十二点 五 美元"),
        ("telephone", "+1 (415) 555-0100", "", "+ 1 4 1 5 5 5 5 0 1 0 0", "+ 幺 4 幺 5 5 5 5 0 幺 0 0"),
        ("telephone", "*31#", "", "* 3 1 #", "* 3 幺 #"),
        ("digits", "110", "", "1 1 0", "1 1 0"),
    ],
)
def test_each_kind_is_spoken_from_the_shipped_sounds(
    shipped: Library, kind: str, value: str | int | float, form: str, english: str | None, chinese: str | None
) -> None:
    if english is None and chinese is None:
        with pytest.raises(SsmlInvalid, match="is no date in the format dm"):
            heard(shipped, "en", kind, value, form)
        return
    assert english is None or heard(shipped, "en", kind, value, form) == english
    assert chinese is None or heard(shipped, "zh-CN", kind, value, form) == chinese


def test_the_words_of_a_number_follow_each_other_and_the_groups_of_a_telephone_number_pause(
    room: Room, shipped: Library
) -> None:
    variables: dict[str, str | int | float] = {"kind": "cardinal", "form": "", "value": 1206}
    item = prepare_item(shipped, "en", template="t", variables=variables, default_language="en")
    assert [sound.sound for sound in item.playlist] == [
        "en/numbers/1", "en/numbers/thousand", "en/numbers/200", "en/numbers/6",
    ]  # fmt: skip
    assert room.heard('<say-as interpret-as="telephone">12-(34)</say-as>') == [
        "digits/1", "silence/300", "digits/2", "silence/500", "digits/3", "silence/300", "digits/4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        ("cardinal", "Rumpel7stiltskin", ""),
        ("cardinal", "9" * 4000, ""),
        ("ordinal", "-7777", ""),
        ("date", "32 January", ""),
        ("date", "2026-02-30", ""),
        ("date", "2026-01-05", "<script>"),
        ("time", "25:61", ""),
        ("time", "7777", "hms12"),
        ("currency", "77.77", ""),
        ("currency", "USD 1; DROP", ""),
        ("telephone", "x7777", ""),
        ("telephone", "()", ""),
        ("cardinal", "", ""),
        ("cardinal", "</say-as><break time='9s'/>", ""),
        ("cardinal", 1e15, ""),
        ("blink", "7777", ""),
        ("digits", "1", "7777"),
    ],
)
def test_bad_input_is_refused_without_a_value_that_a_variable_gave(
    shipped: Library, kind: str, value: str | float, form: str
) -> None:
    for tag in ("en", "zh"):
        with pytest.raises(SsmlInvalid) as caught:
            heard(shipped, tag, kind, value, form)
        shown = "".join(traceback.format_exception(caught.value)) + caught.value.mend
        for secret in (
            "umpel",
            "7777",
            "77.77",
            "32 January",
            "02-30",
            "25:61",
            "DROP",
            "script",
            "999",
            "9s",
        ):
            assert secret not in str(caught.value), secret
        assert "During handling" not in shown


def test_a_bad_value_that_stands_in_the_template_is_quoted(room: Room) -> None:
    with pytest.raises(SsmlInvalid, match='"32 January" in <say-as interpret-as="date"> is no date'):
        room.heard('<say-as interpret-as="date">32 January</say-as>')


@pytest.mark.parametrize("kind", ["cardinal", "ordinal", "date", "time", "currency"])
def test_a_language_without_rules_refuses_and_says_the_mend(
    small_root: Path, tmp_path: Path, kind: str
) -> None:
    folder = language(tmp_path / "root", "de", {}, {})
    (folder / "templates/t.ssml").write_text(
        f'<speak><say-as interpret-as="{kind}">1</say-as></speak>', "utf-8"
    )
    (folder / "templates/phone.ssml").write_text(
        '<speak><say-as interpret-as="telephone">110</say-as></speak>', "utf-8"
    )
    library = load_library([small_root, tmp_path / "root"])
    with pytest.raises(SsmlInvalid, match=r"language de has no rules .* name some with `rules`"):
        prepare_item(library, "de", template="t", variables={}, default_language="en")
    phone = prepare_item(library, "de", template="phone", variables={}, default_language="en")
    assert [item.text for item in phone.playlist if item.text] == ["1", "1", "0"]


def test_a_language_can_name_the_rules_it_speaks_by(small_root: Path, tmp_path: Path) -> None:
    folder = language(tmp_path / "root", "yue", {}, {})
    toml = (folder / "language.toml").read_text("utf-8")
    numbers = '\n[numbers]\n"第" = "digits/0"\n"三" = "digits/3"\n'
    (folder / "language.toml").write_text(f'rules = "zh"\n{toml}{numbers}', "utf-8")
    (folder / "templates/t.ssml").write_text(
        '<speak><say-as interpret-as="ordinal">{{ n }}</say-as></speak>', "utf-8"
    )
    library = load_library([small_root, tmp_path / "root"])

    def say(n: int) -> list[str]:
        item = prepare_item(library, "yue", template="t", variables={"n": n}, default_language="en")
        return [sound.sound for sound in item.playlist]

    assert say(3) == ["yue/digits/0", "yue/digits/3"]
    with pytest.raises(SoundMissing, match=r"no sound for a word of a number.*\[numbers\]"):
        say(4)


def test_rules_that_do_not_exist_are_refused_by_name(small_root: Path, tmp_path: Path) -> None:
    folder = language(tmp_path / "root", "yue", {}, {})
    toml = (folder / "language.toml").read_text("utf-8")
    (folder / "language.toml").write_text(f'rules = "cantonese"\n{toml}', "utf-8")
    with pytest.raises(LibraryError, match='no number rules "cantonese"; use one of en, zh'):
        load_library([small_root, tmp_path / "root"])


def test_the_doctor_tries_values_that_fit_and_finds_formats_that_do_not_exist(tmp_path: Path) -> None:
    for name, body in {
        "fine": '<say-as interpret-as="date">{{ due }}</say-as> <say-as interpret-as="time">{{ at }}</say-as>'
        '<say-as interpret-as="currency">{{ sum }}</say-as>'
        '<say-as interpret-as="date" format="dmy">{{ due }}</say-as>',
        "wrong": '<say-as interpret-as="date" format="iso">{{ due }}</say-as>',
        "after": '<say-as interpret-as="date">{{ due }}</say-as> Nobody recorded this',
    }.items():
        (tmp_path / f"{name}.ssml").write_text(f"<speak>{body}</speak>", "utf-8")
    faults = check_templates(load_library([packaged_root()], [tmp_path]))
    assert {(fault.language, fault.template) for fault in faults} == {
        ("en", "wrong"), ("zh", "wrong"), ("en", "after"), ("zh", "after"),
    }  # fmt: skip


# ── hostile values ────────────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    "</speak><speak>Hello",
    "</say-as><audio src='phrases/hello'/><say-as interpret-as='digits'>1",
    "<break time='10s'/>" * 200,
    "]]><![CDATA[",
    "&#0;&lol;&amp;",
    "{{ code }}{% for x in range(999999999) %}{% endfor %}",
    "<!--",
    "\u202e1\u202c",
    "1\u0301",
    "A" * 4096,
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "kind", ["digits", "characters", "telephone", "cardinal", "date", "time", "currency"]
)
def test_markup_in_a_value_is_never_markup(shipped: Library, kind: str, value: str) -> None:
    with pytest.raises(PromptError) as caught:
        heard(shipped, "en", kind, value)
    assert value[:12] not in str(caught.value)


@pytest.mark.parametrize("value", ["\0", "\x1b[2J", "\ud800", "\ue000", "x" * 5000, "x" * 20_000_000])
def test_control_characters_and_megabytes_are_refused_before_a_template_sees_them(
    shipped: Library, value: str
) -> None:
    with pytest.raises(VariablesInvalid):
        heard(shipped, "en", "cardinal", value)


def test_a_code_may_be_read_as_a_number_and_is_never_shown(room: Room, shipped: Library) -> None:
    source = '<say-as interpret-as="cardinal">{{ code }}</say-as>'
    with pytest.raises(SoundMissing) as caught:
        room.heard(source, code="493817")
    assert "four" not in str(caught.value)
    with pytest.raises(SsmlInvalid) as invalid:
        room.heard('<say-as interpret-as="date">{{ code }}</say-as>', code="493817")
    assert "4938" not in str(invalid.value)


def test_a_template_that_does_not_end_is_stopped(room: Room) -> None:
    body = "{% for a in range(1000) %}{% for b in range(1000) %}Hello{% endfor %}{% endfor %}"
    library = room.library(t=f"<speak>{body}</speak>")
    with pytest.raises(PromptError, match="more than 20000 steps"):
        prepare(library, "en", "t", code=None, variables={}, plays=1, default_language="en")
