"""The configuration: one file, variables over it, secrets from files, every fault with its mend."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import Config, ConfigError, find_config, load_config

GOOD = """
[worker]
name = "w1"
[[pbx]]
name = "ast1"
url = "http://127.0.0.1:8088/ari"
password = "hush-ari"
dial = "PJSIP/{number}@carrier"
caller_ids = ["+15550100"]
[notify]
url = "http://127.0.0.1:9000/events"
secret = "whsec_hush"
"""
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(text: str = GOOD, **environ: str) -> Config:
        (tmp_path / "o.toml").write_text(text, encoding="utf-8")
        return load_config(
            tmp_path / "o.toml", {f"ORCHESTRATOR__{key}": value for key, value in environ.items()}
        )

    return loaded


def refused(load: Load, text: str = GOOD, **environ: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(text, **environ)
    return str(error.value)


def test_the_contracts_example_is_taken(load: Load, tmp_path: Path) -> None:
    (tmp_path / "ari").write_text("hush\n")
    config = load(f"""
[worker]
name = "w1"
[ledger]
url = "sqlite:///ledger.db"
[[pbx]]
name = "ast1"
kind = "asterisk"
url = "http://127.0.0.1:8088/ari"
username = "orchestrator"
password_file = "{tmp_path}/ari"
app = "orchestrator"
dial = "PJSIP/{{number}}@carrier"
caller_ids = ["+15550100"]
max_cps = 20
max_calls = 200
[http]
listen = "127.0.0.1:8090"
[notify]
url = "http://127.0.0.1:9000/events"
secret = "whsec_x"
[prompts]
language = "en"
""")
    assert config.pbx[0].password == "hush"
    assert (config.pbx[0].max_cps, config.pbx[0].max_calls) == (20, 200)
    assert config.caller_ids == {"+15550100"}


def test_a_variable_overrides_a_key_of_each_type(load: Load) -> None:
    config = load(
        GOOD,
        LEDGER__URL="sqlite:////var/x.db",
        LEDGER__KEEP_DAYS="7.5",
        WORKER__NAME="007",
        PBX__0__MAX_CALLS="12",
        PBX__0__PASSWORD="12345",
        PBX__0__CALLER_IDS='["+15550101", "+15550102"]',
        NOTIFY__ALLOW_NETWORKS__0="10.0.0.0/8",
        NOTIFY__ALLOW_NETWORKS__1="192.168.0.0/16",
        HTTP__LISTEN="127.0.0.1:9999",
        PROMPTS__LANGUAGE="zh-CN",
    )
    assert config.ledger.url == "sqlite:////var/x.db"
    assert config.ledger.keep_days == 7.5
    assert config.worker.name == "007"
    assert (config.pbx[0].max_calls, config.pbx[0].password) == (12, "12345")
    assert config.pbx[0].caller_ids == ("+15550101", "+15550102")
    assert config.notify.allow_networks == ("10.0.0.0/8", "192.168.0.0/16")
    assert config.http is not None
    assert config.http.listen == "127.0.0.1:9999"
    assert config.prompts.language == "zh-CN"


def test_nodes_may_come_from_variables_alone_in_any_number(load: Load) -> None:
    given = {"NAME": "n", "URL": "http://x/ari", "PASSWORD": "p", "DIAL": "PJSIP/{number}"}
    environ = {f"PBX__{n}__{key}": value for n in range(12) for key, value in given.items()}
    environ |= {f"PBX__{n}__NAME": f"n{n}" for n in range(12)}
    environ |= {f"PBX__{n}__APP": f"app{n}" for n in range(12)}
    assert [pbx.name for pbx in load("", **environ).pbx] == [f"n{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LEDGR__URL", "x", "Did you mean `ledger`"),
        ("LEDGER__URI", "x", "Did you mean `url`"),
        ("PBX__7__NAME", "x", "number them from 0"),
        ("PBX__X__NAME", "x", "number them from 0"),
        ("PBX__²__NAME", "x", "number them from 0"),
        ("WORKER__NAME__DEEPER", "x", "leads into a value"),
        ("PBX__0__MAX_CALLS", "many", "pbx[0].max_calls"),
        ("PBX__0__MAX_CPS", "nan", "pbx[0].max_cps"),
        ("PBX__0__WEIGHT", "0", "pbx[0].weight"),
        ("FOLDER", "/x", "folder: unknown field"),
        ("", "x", "unknown field"),
    ],
)
def test_a_variable_that_fits_nothing_is_an_error(load: Load, variable: str, value: str, told: str) -> None:
    assert told in refused(load, **{variable: value})


def test_where_relative_paths_start_is_no_key(load: Load) -> None:
    assert "folder: unknown field" in refused(load, 'folder = "/x"\n' + GOOD)


def test_variables_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text(GOOD)
    load_config(tmp_path / "o.toml", {"ORCHESTRATOR_CONFIG": "x", "PATH": "y", "ORCHESTRATOR": "z"})


def test_every_fault_is_told_at_once(load: Load) -> None:
    text = refused(
        load,
        """
foldr = 1
[worker]
nam = "x"
[[pbx]]
name = "a b"
url = 1
max_cps = 0
[jobs]
min_code_digits = 1
""",
    )
    for part in ("foldr", "worker.nam", "`name`", "pbx[0].name", "pbx[0].url", "pbx[0].dial: required",
                 "pbx[0].max_cps", "jobs.min_code_digits"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("find", "put", "told"),
    [
        ("PJSIP/{number}@carrier", "PJSIP/carrier", "{number}"),
        ("PJSIP/{number}@carrier", "{number}{e164}", "{number}"),
        ("http://127.0.0.1:8088/ari", "ws://x", "pbx[0].url"),
        ('password = "hush-ari"', "", "pbx[0].password"),
        ('name = "ast1"', 'name = "ast1"\nvirtual = {speed = 2.0}', "pbx[0].virtual"),
        ("http://127.0.0.1:8088/ari", 'http://10.0.0.1:1/ari"\nkind = "virtual', "loopback"),
        ("http://127.0.0.1:8088/ari", 'http://127.0.0.1/ari"\nkind = "virtual', "pbx[0].url"),
        (
            'name = "ast1"',
            'name = "ast1"\nkind = "virtual"\nvirtual = {control = "0.0.0.0:1"}',
            "pbx[0].virtual.control",
        ),
        (
            'name = "ast1"',
            'name = "ast1"\nkind = "virtual"\nvirtual = {faults = {lose_events = 2.0}}',
            "pbx[0].virtual.faults.lose_events",
        ),
        ('name = "ast1"', 'name = "ast1"\nkind = "freeswitch"', "esl://127.0.0.1:8021"),
        ('secret = "whsec_hush"', "", "notify.secret"),
        ("http://127.0.0.1:9000/events", "ftp://x", "notify.url"),
        (
            'secret = "whsec_hush"',
            'secret = "x"\nallow_networks = ["10.0.0.0/99"]',
            "notify.allow_networks[0]",
        ),
        ("[notify]", '[ledger]\nurl = "postgresql://x"\n[notify]', "PostgreSQL"),
        ("[notify]", '[ledger]\nurl = "ledger.db"\n[notify]', "sqlite:///"),
        ("[notify]", '[ledger]\nurl = "sqlite:///"\n[notify]', "sqlite:///"),
        ("[notify]", "[limits]\ncallee_calls = 0\n[notify]", "limits.callee_calls"),
        ("[notify]", "[limits]\ncallee_per_week = 9\n[notify]", "callee_per_day"),
        (
            "[notify]",
            "[ledger]\nkeep_days = 0.5\n[limits]\ncallee_per_hour = 1\ncallee_per_day = 9\n[notify]",
            "limits.callee_per_day: counts calls that are forgotten by then; raise ledger.keep_days.",
        ),
        ("[notify]", "[notify", "not valid TOML"),
        ("+15550100", "+1555&x", "pbx[0].caller_ids[0]"),
    ],
)
def test_what_cannot_work_is_refused_by_name(load: Load, find: str, put: str, told: str) -> None:
    assert GOOD.count(find) == 1
    text = refused(load, GOOD.replace(find, put))
    assert told in text
    assert "hush" not in text


def test_a_freeswitch_node_is_named_by_kind_and_address(load: Load) -> None:
    config = load("""
[[pbx]]
name = "fs1"
kind = "freeswitch"
url = "esl://127.0.0.1:8021"
password = "hush"
dial = "sofia/gateway/carrier/{number}"
""")
    assert (config.pbx[0].kind, config.pbx[0].url) == ("freeswitch", "esl://127.0.0.1:8021")


def test_two_nodes_in_one_application_of_one_pbx_are_refused(load: Load) -> None:
    second = GOOD[GOOD.index("[[pbx]]") : GOOD.index("[notify]")].replace("ast1", "ast2")
    told = refused(load, GOOD + second)
    assert "pbx[1].app: `orchestrator` is used by another [[pbx]] with this url; give each its own" in told
    assert load(GOOD + second + 'app = "two"\n').pbx[1].app == "two"
    assert len(load(GOOD + second.replace("8088", "8089")).pbx) == 2


def test_two_nodes_of_one_name_are_refused(load: Load) -> None:
    node = GOOD[GOOD.index("[[pbx]]") : GOOD.index("[notify]")]
    assert "pbx[1].name" in refused(load, GOOD + node)


@pytest.mark.parametrize("listen", ["127.0.0.1:8090", "[::1]:8090", "localhost:0", "127.9.9.9:65535"])
def test_it_listens_on_loopback(load: Load, listen: str) -> None:
    config = load(GOOD + f'[http]\nlisten = "{listen}"\n')
    assert config.http is not None
    assert config.http.listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:8090", "[::]:8090", "192.0.2.1:80", "example.com:80"])
def test_without_keys_it_listens_nowhere_else(load: Load, listen: str) -> None:
    text = refused(load, GOOD + f'[http]\nlisten = "{listen}"\n')
    assert "http.listen" in text
    assert "loopback" in text
    assert "no API keys" in text


@pytest.mark.parametrize(
    "listen", ["8090", ":8090", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"]
)
def test_an_address_that_is_none_is_refused(load: Load, listen: str) -> None:
    assert "http.listen: must be a host and a port" in refused(load, GOOD + f'[http]\nlisten = "{listen}"\n')


def test_a_secret_comes_from_a_file_beside_the_configuration(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("whsec_file\n")
    config = load(GOOD.replace('secret = "whsec_hush"', 'secret_file = "key"'))
    assert config.notify.secret == "whsec_file"


def test_a_secret_given_twice_missing_or_empty_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    (tmp_path / "empty").write_text("\n")
    line = 'secret = "whsec_hush"'
    assert "given twice" in refused(load, GOOD.replace(line, f'{line}\nsecret_file = "key"'))
    assert "cannot be read" in refused(load, GOOD.replace(line, 'secret_file = "nowhere"'))
    assert "is empty" in refused(load, GOOD.replace(line, 'secret_file = "empty"'))


def test_relative_paths_start_at_the_file(load: Load, tmp_path: Path) -> None:
    config = load()
    assert config.path("ledger.db") == tmp_path / "ledger.db"
    assert config.path("/var/ledger.db") == Path("/var/ledger.db")


def test_nothing_that_prints_shows_a_secret(load: Load) -> None:
    config = load()
    shown = repr(config) + repr(config.pbx) + repr(config.notify) + str(config.pbx[0]) + f"{config.notify}"
    assert "hush" not in shown


def test_a_secret_of_the_wrong_type_is_refused_without_being_shown(load: Load) -> None:
    text = refused(load, GOOD.replace('"hush-ari"', "73190573"))
    assert "pbx[0].password" in text
    assert "73190573" not in text


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "o.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})
    (tmp_path / "o.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(tmp_path / "o.toml", {})


def test_the_file_is_named_by_option_then_variable_then_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("a", {"ORCHESTRATOR_CONFIG": "b"}) == Path("a")
    assert find_config(None, {"ORCHESTRATOR_CONFIG": "b"}) == Path("b")
    if not Path("/etc/orchestrator/orchestrator.toml").is_file():
        with pytest.raises(ConfigError, match="-c FILE"):
            find_config(None, {})
    (tmp_path / "orchestrator.toml").write_text("")
    assert find_config(None, {}) == Path("orchestrator.toml")
