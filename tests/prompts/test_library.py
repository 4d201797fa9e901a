"""The folders of a sound library: what is found, what is merged, what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.audio.wav import write_wav
from orchestrator.prompts import LibraryError, load_library, packaged_root, prepare
from tests.prompts.small_library import toml, wav


@pytest.fixture
def root(small_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(small_root, tmp_path / "sounds"))


def test_each_sound_has_its_length_and_the_encodings_beside_it(root: Path) -> None:
    (root / "en/digits/4.ulaw").write_bytes(bytes(1120))
    (root / "en/digits/4.alaw").write_bytes(bytes(1120))
    library = load_library([root])
    four = library.languages["en"].sounds["digits/4"]
    assert (four.id, four.ms, four.encodings) == ("en/digits/4", 140, ("alaw", "ulaw"))
    assert library.sounds["en/digits/4"] is four
    assert library.sounds["en/digits/5"].encodings == ()
    assert library.sounds["silence/500"].ms == 500


def test_the_silence_that_a_sound_ends_with_counts_as_pause(root: Path) -> None:
    loud, quiet = (8000).to_bytes(2, "little"), (60).to_bytes(2, "little")
    for digit, tail in ((1, 220), (2, 130), (3, 400)):
        write_wav(root / f"en/digits/{digit}.wav", loud * 1600 + quiet * (8 * tail))
    library = load_library([root])
    assert library.sounds["en/digits/1"].tail == 220
    assert library.sounds["en/digits/1"].ms == 420
    assert library.sounds["en/digits/5"].tail == 0
    playlist = prepare(
        library, "en", "code", code="12345", variables={}, plays=1, default_language="en"
    ).plays[0]
    assert [item.sound.removeprefix("en/digits/") for item in playlist[4:]] == [
        "1",
        "2",
        "silence/200",
        "3",
        "4",
        "silence/300",
        "5",
        "silence/1000",
    ]


def test_the_packaged_root_lies_in_the_package() -> None:
    assert packaged_root().parent.name == "orchestrator"


def test_adding_a_language_is_dropping_a_folder(root: Path) -> None:
    shutil.copytree(root / "en", root / "pt-br")
    text = (root / "pt-br/language.toml").read_text().replace('tag = "en"', 'tag = "pt-BR"')
    (root / "pt-br/language.toml").write_text(text)
    library = load_library([root])
    assert library.resolve("pt-BR-x-sp", "en").tag == "pt-BR"
    prepared = prepare(library, "pt-br", "code", code="1", variables={}, plays=1, default_language="en")
    # The template says xml:lang="en", which asks for the English sounds.
    assert prepared.plays[0][0].sound == "en/phrases/hello"


def test_a_later_root_adds_and_replaces(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    wav(own / "en/digits/4.wav", 900)
    wav(own / "en/phrases/acme.wav", 700)
    (own / "en/language.toml").write_text('tag = "en"\n[phrases]\n"Acme greets you" = "phrases/acme"\n')
    (own / "en/templates").mkdir()
    (own / "en/templates/acme.ssml").write_text(
        '<speak>Acme greets you. <say-as interpret-as="digits">{{ code }}</say-as></speak>'
    )
    (root / "en/digits/4.ulaw").write_bytes(bytes(1120))
    library = load_library([root, own])
    playlist = prepare(library, "en", "acme", code="4", variables={}, plays=1, default_language="en").plays[0]
    assert [(item.sound, item.ms) for item in playlist] == [
        ("en/phrases/acme", 700),
        ("silence/400", 400),
        ("en/digits/4", 900),
    ]
    assert library.sounds["en/digits/4"].encodings == ()  # the other root's encoding is of another voice
    assert library.languages["en"].voice == "tone"


def test_a_template_folder_serves_one_language_or_all(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "templates"
    (own / "zh").mkdir(parents=True)
    (own / "t.ssml").write_text("<speak>Hello</speak>")
    (own / "zh/t.ssml").write_text("<speak>您好</speak>", encoding="utf-8")
    library = load_library([root], template_dirs=[own])
    for language in ("en", "zh"):
        playlist = prepare(
            library, language, "t", code=None, variables={}, plays=1, default_language="en"
        ).plays[0]
        assert playlist[0].sound == f"{language}/phrases/hello"


def damage(path: str, text: str | None) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            target.unlink()
        else:
            target.write_text(text, encoding="utf-8")

    return do


def outside(root: Path) -> Path:
    path = root.parent / "outside"
    path.mkdir()
    wav(path / "x.wav", 100)
    (path / "t.ssml").write_text("<speak>Hello</speak>")
    return path


def link_sound(root: Path) -> None:
    (root / "en/x.wav").symlink_to(outside(root) / "x.wav")


def link_template(root: Path) -> None:
    (root / "en/templates/t.ssml").symlink_to(outside(root) / "t.ssml")


def link_language(root: Path) -> None:
    (root / "fr").symlink_to(outside(root))


def cut_short(root: Path) -> None:
    path = root / "en/digits/4.wav"
    path.write_bytes(path.read_bytes()[:-100])


def empty_sound(root: Path) -> None:
    write_wav(root / "en/digits/4.wav", b"")


def long_silence(root: Path) -> None:
    wav(root / "silence/500.wav", 600, 0)


NINE = {str(digit): f"digits/{digit}" for digit in range(9)}
TEN = NINE | {"9": "digits/9"}


@pytest.mark.parametrize(
    ("break_it", "names", "says"),
    [
        (damage("en/digits/4.wav", None), "en/digits/4.wav", "missing"),
        (damage("en/digits/4.wav", "RIFF"), "en/digits/4.wav", "WAV"),
        (cut_short, "en/digits/4.wav", "cut short"),
        (empty_sound, "en/digits/4.wav", "no sound"),
        (damage("en/x.ulaw", "x"), "en/x.wav", "missing"),
        (damage("en/digits/4.ulaw", "x" * 1300), "en/digits/4.ulaw", "one recording"),
        (damage("en/Capital.wav", "x"), "Capital.wav", "a-z 0-9"),
        (damage("en/templates/Code.ssml", "x"), "Code.ssml", "a-z 0-9"),
        (damage("en/templates/t.ssml", "{% if %}"), "t.ssml, line 1", "correct"),
        (damage("en/language.toml", "tag = "), "language.toml", "correct it"),
        (damage("en/language.toml", 'tag = "en"\nvoices = "x"'), "language.toml", "voices"),
        (damage("en/language.toml", 'tag = "de"'), "language.toml", "both the same name"),
        (damage("en/language.toml", None), "en/language.toml", "needs this file"),
        (damage("en/language.toml", toml("en", TEN, {}, {"x": "../x"})), "language.toml", "../x"),
        (damage("en/language.toml", toml("en", NINE, {}, {})), "en", 'digit "9"'),
        (damage("en/language.toml", toml("en", TEN, {"AB": "letters/a"}, {})), "en", '"AB"'),
        (damage("en/language.toml", toml("en", TEN, {}, {"?!": "letters/a"})), "en", "no word"),
        (damage("not_a_language/x", ""), "not_a_language", "language tag"),
        (damage("silence/500.wav", None), "silence/500.wav", "missing"),
        (long_silence, "silence/500.wav", "600 ms"),
        (link_sound, "en/x.wav", "leads out"),
        (link_template, "t.ssml", "leads out"),
        (link_language, "fr", "leads out"),
    ],
)
def test_a_fault_in_the_library_names_the_file_and_the_mend(
    root: Path, break_it: Callable[[Path], None], names: str, says: str
) -> None:
    load_library([root])
    break_it(root)
    with pytest.raises(LibraryError) as caught:
        load_library([root])
    assert names in str(caught.value)
    assert says in str(caught.value)


def test_bytes_that_are_no_utf_8_are_refused(root: Path) -> None:
    (root / "en/templates/t.ssml").write_bytes(b"<speak>\xff</speak>")
    with pytest.raises(LibraryError, match=r"t\.ssml.*UTF-8"):
        load_library([root])


def test_a_root_or_template_folder_that_is_not_there_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="nowhere"):
        load_library([root, tmp_path / "nowhere"])
    with pytest.raises(LibraryError, match="nowhere"):
        load_library([root], template_dirs=[tmp_path / "nowhere"])


def test_templates_for_a_language_without_sounds_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "own/fr").mkdir(parents=True)
    with pytest.raises(LibraryError, match="add the language first"):
        load_library([root], template_dirs=[tmp_path / "own"])
