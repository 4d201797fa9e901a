"""What doctor says of an Asterisk's fitness for callbacks. Tier: loopback."""

from orchestrator.cli.callback_checks import MODULES, check_callbacks
from orchestrator.pbx.ari.pooled import open_session
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.testing import virtual_pbx_with
from tests.pbx.ari.fake_ari import FakeAri, Reply, Seen, serving, settings_for


async def row_of(settings: AriSettings) -> tuple[str, str, str]:
    async with open_session(settings) as http:
        row = await check_callbacks(http, settings)
        return row.level, row.said, row.mend


async def test_missing_modules_are_a_warning_that_names_them() -> None:
    absent = ("bridge_softmix.so", "chan_bridge_media.so")

    def script(seen: Seen) -> Reply:
        if seen.path.rpartition("/")[2] in absent:
            return Reply(404, "Not Found", '{"message":"Module could not be found in running modules"}')
        return Reply(200, "OK", '{"status":"Running"}')

    async with serving(FakeAri(script)) as fake:
        level, said, mend = await row_of(settings_for(fake.url))
    assert level == "warn"
    assert f"{absent[0]}, {absent[1]} not loaded" in said
    assert not any(name in said for name in MODULES if name not in absent)
    assert "modules.conf" in mend


async def test_the_virtual_pbx_has_all_that_a_callback_needs() -> None:
    async with virtual_pbx_with() as virtual:
        settings = settings_for(virtual.ari_url, password=virtual.settings.password)
        assert (await row_of(settings))[0] == "ok"
