"""A template can neither look inside, nor go on for ever, nor give a value away."""

import string
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.prompts import (
    Library,
    LibraryError,
    Prepared,
    PromptError,
    TemplateFailed,
    prepare,
)
from orchestrator.prompts.sandbox import PromptEnvironment
from orchestrator.prompts.templates import Source, Templates
from tests.prompts.small_library import Room

BOMBS = {
    "nested loops": "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
    "nested loops with a test": "{% for a in range(1000) if a %}{% for b in range(1000) if b %}{% endfor %}"
    "{% endfor %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "double recursion": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive block": "{% block b %}{{ self.b() }}{{ self.b() }}{% endblock %}",
    "call block": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 14
    + "x"
    + "{% endcall %}" * 14,
    "repeated text": "{{ 'a' * 10**9 }}",
    "repeated list": "{{ ([1] * 10**9)|length }}",
    "repeated by a negative product": "{{ 'a' * (-1) * (-10**9) }}",
    "tower of powers": "{{ 9**9**9**9 }}",
    "powers in a set": "{% set x = 9**9**9 %}{% set y = x**x %}",
    "format": "{{ '%1000000000d' % 1 }}",
    "format by a test": "{{ '%1000000000d' is even }}",
    "format method": "{{ '{:1000000000d}'.format(1) }}",
    "center filter": "{{ 'a'|center(10**9) }}",
    "center method": "{{ 'a'.center(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "round": "{{ 5|round(-10**9) }}",
    "range": "{% for a in range(10**9) %}{% endfor %}",
    "join": "{{ (['aaaaaaaaaa'] * 100)|join('b' * 4000) }}",
    "replace": "{{ ('a' * 4000)|replace('a', 'b' * 4000) }}",
    "doubling": "{% set n = namespace(x='ab') %}"
    "{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling capture": "{% set a %}"
    + "x" * 900
    + "{% endset %}"
    + "".join("{% set a %}{{ a }}{{ a }}{% endset %}" for _ in range(40)),
    "doubling lists": "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{% if x == x %}{% endif %}",
    "doubling list sums": "{% set n = namespace(x=[1]) %}"
    "{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "output": "{% for a in range(1000) %}" + "x" * 20_000 + "{% endfor %}",
    "searching": "{% set s = 'a' * 4000 %}{% for a in range(1000) %}"
    + "{{ (s ~ 'b') in s }}" * 50
    + "{% endfor %}",
    "upper": "{% set s = 'ß' * 2000 %}"
    "{% for a in range(1000) %}{% set x = s|upper|lower|upper|lower %}{% endfor %}",
    "cycling": "{% for a in range(1000) %}"
    "{{ loop.cycle('a', 'b') }}{% for b in range(1000) %}{{ loop.length }}"
    "{% endfor %}{% endfor %}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_template_without_end_is_stopped_within_50_ms(room: Room, bomb: str) -> None:
    source = f"<speak>{bomb}</speak>"
    try:
        library = room.library(t=source)
    except LibraryError:
        return  # refused before any job came
    took = []
    for _ in range(3):
        start = time.thread_time()
        with pytest.raises(PromptError):
            prepare(library, "en", "t", code=None, variables={}, plays=1, default_language="en")
        took.append(time.thread_time() - start)
    # The first time includes finding the line; a busy machine is forgiven twice.
    assert min(took) < 0.05


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ code.upper() }}",
        "{{ x.upper }}",
        "{{ range.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ loop }}",
        "{{ [1] }}",
        "{{ range(3) }}",
        "{{ namespace }}",
        "{{ none }}",
        "{{ x[99] }}",
        "{{ x['upper'] }}",
        "{% for a in 5 %}{% endfor %}",
        "{{ x + 1 }}",
        "{{ 1 / 0 }}",
        "{{ x|int }}",
        "{{ []|first }}",
        "{{ (1, 2) }}",
        "{{ -x }}",
        "{{ x < 1 }}",
        "{{ x() }}",
        "{{ nobody() }}",
        "{{ nobody|upper }}",
        "{{ nobody ~ 'a' }}",
        "{{ nobody + 1 }}",
        "{% for a in nobody %}{% endfor %}",
        "{{ 'a' if false }}",
        "{{ 2.5|round(16) }}",
        "{{ 10**15 * 10 }}",
        "{{ range('a') }}",
        "{% block b %}{{ super() }}{% endblock %}",
    ],
)
def test_what_a_template_may_not_do_breaks_it_off(room: Room, source: str) -> None:
    with pytest.raises(TemplateFailed, match='template "t", line 2'):
        room.play(f"<speak>\n{source}</speak>", x="secretvalue")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% import 't' as t %}", "import"),
        ("{% from 't' import t %}", "import"),
        ("{% filter upper %}x{% endfilter %}", "filter"),
        ("{{ {'a': 1} }}", "dictionary"),
        ("{% autoescape false %}{% endautoescape %}", "autoescape"),
        ("{{ x|safe }}", "use one of abs"),
        ("{{ x|attr('y') }}", "No filter"),
        ("{{ x is callable }}", "No test"),
        ("{% include x %}", "in quotes"),
        ("{% include 'other' %}", 'no template "other"'),
        ("{% include 't' %}", "includes itself"),
        ("{% extends 't' %}", "includes itself"),
        ("{% include ['t'] %}", "in quotes"),
        ("{% include 't' without context %}", "without context"),
        ("{% for a in x recursive %}{% endfor %}", "recursive"),
        ("{{ '\\ue000' }}", "U+E000"),
        ("\ue001", "U+E000"),
        ("{{ 1e300 }}", "10 to the 15th"),
        ("{{", "unexpected"),
        ("{{ " + "9" * 5000 + " }}", "too large"),
        ("{{ " + "(" * 5000 + " }}", "nested"),
        ("x" * 40_000, "32768"),
        ("{% set a | upper %}x{% endset %}", "filter"),
        ("{% if x %}" * 200 + "{% endif %}" * 200, "cannot be compiled"),
    ],
)
def test_what_a_template_may_never_do_is_refused_when_it_is_loaded(
    room: Room, source: str, says: str
) -> None:
    with pytest.raises(LibraryError) as caught:
        room.library(t=source)
    assert says in str(caught.value)
    assert "t.ssml" in str(caught.value)


def test_a_missing_variable_is_named(room: Room) -> None:
    with pytest.raises(TemplateFailed, match='"amount" has no value; give it with the job'):
        room.play("<speak>{{ amount }}</speak>")


def test_a_template_without_a_code_has_no_code(room: Room) -> None:
    with pytest.raises(TemplateFailed, match='"code" has no value'):
        room.play("<speak>{{ code }}</speak>", code=None)


@pytest.mark.parametrize(
    "source",
    [
        "{% for digit in code %}{{ digit }}{% endfor %}",
        "{{ code|list|join(' ') }}",
        "{{ code[:2] ~ code[2:] }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(code) }}",
        "{% set x %}{{ code }}{% endset %}{{ x }}",
        "{{ code|replace('-', '')|trim|string|default('0') }}",
        "{% with c = code %}{{ c }}{% endwith %}",
        "{% set n = namespace(x='') %}{% for d in code %}{% set n.x = n.x ~ d %}{% endfor %}{{ n.x }}",
        "{% for n in range(code|length) %}{{ code[n] }}{{ '' if loop.last else ' - ' }}{% endfor %}",
        "{% include '_code' %}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ code }}{% endcall %}",
        "{% if play == 1 and code is defined and not code in ['1', '2'] %}{{ code }}{% endif %}",
        "{{ (code|int / 1)|round|int }}",
        "{{ code|first }}{{ code[1:3] }}{{ code|last }}",
        "{% block b %}{{ code }}{% endblock %}",
        "{{ nobody|default(code) }}",
    ],
)
def test_ordinary_templates_spell_the_code(room: Room, source: str) -> None:
    library = room.library(
        t=f'<speak><say-as interpret-as="digits">{source}</say-as></speak>', _code="{{ code }}"
    )
    playlist = prepare(library, "en", "t", code="4938", variables={}, plays=1, default_language="en").plays[0]
    assert "".join(item.text or "" for item in playlist) == "4938"


def test_a_template_can_extend_another(room: Room) -> None:
    library = room.library(
        _base="<speak>Hello {% block body %}Bob{% endblock %}</speak>",
        t="{% extends '_base' %}{% block body %}{{ super() }} Hello{% endblock %}",
    )
    playlist = prepare(library, "en", "t", code=None, variables={}, plays=1, default_language="en").plays[0]
    assert [item.text for item in playlist] == ["Hello", "Bob", "Hello"]


def test_every_filter_and_operator_waits_for_the_job(small_root: object) -> None:
    # What Jinja could work out when it compiles would be worked out without a limit.
    environment = PromptEnvironment({})
    for filter_name, function in environment.filters.items():
        assert getattr(function, "jinja_pass_arg", None) is not None, filter_name
    assert environment.intercepted_binops == set(environment.binop_table)


secrets = st.text(string.ascii_letters + string.digits, min_size=8, max_size=12).map("Qx{}".format)
LEAKS = [
    "{{ v }}",
    "{{ v }}{{ v }}",
    "Hello {{ v }}",
    "x{{ v }}x",
    "{{ v[2:] }}",
    "{{ v|reverse }}",
    "{{ v|int }}",
    "{{ nobody[v] }}",
    "{{ v[v] }}",
    "{{ v + 1 }}",
    "{{ v() }}",
    "{{ v.a }}",
    "{% for a in v %}{{ a }}{% endfor %}",
    "{% set x %}{{ v }}{% endset %}{{ x }}",
    "{% set x %}{{ v }}{% endset %}{{ x[1:] }}{{ x[:-1] }}{{ x[1:-1] }}",
    "{% set x %}{{ v }}{% endset %}{{ x|reverse }}",
    "{% set x %}{{ v }}{% endset %}{{ x|list|reverse|join }}",
    "{% set x %}{{ v }}{% endset %}{{ (x ~ 'a')[1:-2] }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v)|upper|lower }}",
    '<audio src="{{ v }}"/>',
    "<{{ v }}/>",
    '<audio src="phrases/{{ v|lower }}"/>',
    '<break time="{{ v }}"/>',
    '<break strength="{{ v }}"/>',
    '<say-as interpret-as="{{ v }}">1</say-as>',
    '<say-as interpret-as="digits">{{ v }}</say-as>',
    '<say-as interpret-as="characters">{{ v }}é</say-as>',
    '<lang xml:lang="{{ v }}">Hello</lang>',
    '<lang xml:lang="{{ v[:8] }}">Hello</lang>',
    "<s {{ v }}=''/>",
    "<!-- {{ v }} -->",
    "<![CDATA[{{ v }}]]>",
    "<mark name='{{ v }}'/>",
    "<?{{ v }}?>",
    "Nobody <s>{{ v }}</s>",
    "{% call v() %}{% endcall %}",
    "{{ [[v]] }}",
    "{{ range(v) }}",
    "{{ v is even }}",
    "{{ v|round }}",
    "{{ '%d' % v }}",
    "{{ -v }}",
    "{{ v < 1 }}",
]


def leaky(room: Room) -> Library:
    return room.library(**{f"l{index}": f"<speak>{body}</speak>" for index, body in enumerate(LEAKS)})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=secrets, code=st.text(string.digits, min_size=6, max_size=10))
def test_no_error_shows_a_code_or_the_value_of_a_variable(room: Room, value: str, code: str) -> None:
    library = LIBRARIES.setdefault("leaky", None) or leaky(room)
    LIBRARIES["leaky"] = library
    for index in range(len(LEAKS)):
        for given_code, variables in (
            (None, {"v": value}),
            (None, {"v": code}),
            (code, {"v": "Hello", "w": value}),
        ):
            try:
                result = prepare(
                    library,
                    "en",
                    f"l{index}",
                    code=given_code,
                    variables=variables,
                    plays=1,
                    default_language="en",
                )
            except PromptError as error:
                text = f"{error!r} {error} {error.what} {error.mend} {error.where}".lower()
                chained = error.__context__
            else:
                text, chained = repr(result).lower(), None
            assert chained is None
            assert value.lower() not in text
            assert value.lower()[1:-1] not in text
            assert value.lower()[::-1][1:-1] not in text
            assert code[1:-1] not in text.replace("32768", "").replace("65536", "")


LIBRARIES: dict[str, Library | None] = {}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.text()
    | st.floats()
    | st.integers()
    | st.sampled_from(
        [
            "</s><audio src='phrases/bob'/><s>",
            "<break time='10s'/>",
            "]]><audio src='phrases/bob'/>",
            "--><audio src='phrases/bob'/><!--",
            "' src='phrases/bob",
            '" strength="strong',
            "{{ code }}",
            "&lt;break/&gt;",
            "&#60;break/&#62;",
            "\ue001<break/>",
            "Hello",
            "Bob. Hello",
        ]
    ),
    name=st.text(max_size=5) | st.just("v"),
    language=st.text(max_size=8) | st.just("en"),
)
def test_whatever_a_variable_holds_is_spoken_or_refused(
    room: Room, value: str | int | float, name: str, language: str
) -> None:
    if LIBRARIES.get("odd") is None:
        LIBRARIES["odd"] = room.library(
            t="<speak>Hello <s>{{ v }}</s></speak>",
            a='<speak>Hello<audio src="{{ v }}">{{ v }}</audio></speak>',
            b="<speak>Hello<break time='{{ v }}' strength='{{ v }}'/></speak>",
            c="<speak>Hello<!-- {{ v }} --><![CDATA[{{ v }}]]></speak>",
        )
    library = LIBRARIES["odd"]
    assert library is not None
    for template in "tabc":
        try:
            result = prepare(
                library, language, template, code="1", variables={name: value}, plays=1, default_language="en"
            )
        except PromptError:
            continue
        # Of all sounds only those that the value names as plain words may have been added.
        assert isinstance(result, Prepared)
        extra = [item.text for item in result.plays[0] if item.text not in (None, "Hello")]
        assert not extra or str(value).strip().casefold().startswith(
            ("bob", "phrases/", "silence/", "digits/")
        )


@settings(max_examples=150, deadline=None)
@given(source=st.text(st.sampled_from(list("{}%# |[]()'<>/abv1+*~.-\n=!")), max_size=40))
def test_any_template_is_refused_or_rendered(source: str) -> None:
    try:
        templates = Templates({"t": Source(Path("t.ssml"), source)})
        templates.render("t", {"a": "x", "b": 1, "v": 2.5})
    except PromptError:
        pass


def test_steps_do_not_depend_on_the_machine(room: Room) -> None:
    def loops(turns: int) -> str:
        return f"<speak>{{% for a in range({turns}) %}}{{% set b = a + 1 %}}{{% endfor %}}Hello</speak>"

    assert len(room.play(loops(1000))) == 1
    nested = (
        "<speak>{% for a in range(TURNS) %}{% for b in range(100) %}{% endfor %}{% endfor %}Hello</speak>"
    )
    assert len(room.play(nested.replace("TURNS", "60"))) == 1
    with pytest.raises(TemplateFailed, match="more than 20000 steps"):
        room.play(nested.replace("TURNS", "200"))
