"""Settings that cannot be, and settings in a log."""

import pytest

from orchestrator.notify.delivery import Delivery
from orchestrator.notify.errors import AddressError, SecretError, SettingsError
from orchestrator.notify.memory import MemoryOutbox
from orchestrator.notify.notifier import Notifier
from orchestrator.notify.settings import NotifySettings
from tests.notify.world import SECRET


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", float("nan")),
        ("connect_timeout", 16),
        ("per_receiver", 0),
        ("in_flight", 0),
        ("max_queued", 1),
        ("poll_interval", 0),
        ("sweep_gap", -1),
    ],
)
def test_a_setting_out_of_its_range_is_named(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"notify\.{name} is .*between"):
        NotifySettings(worker="w", secrets=(SECRET,), **{name: value})  # type: ignore[arg-type]


def test_the_operators_url_must_be_one() -> None:
    with pytest.raises(AddressError, match="must start with"):
        NotifySettings(worker="w", secrets=(SECRET,), url="127.0.0.1:9000/events")
    NotifySettings(worker="w", secrets=(SECRET,), url="http://127.0.0.1:9000/events")


def test_the_settings_do_not_show_secret_or_url() -> None:
    shown = repr(NotifySettings(worker="w", secrets=(SECRET,), url="http://127.0.0.1:9000/token"))
    assert SECRET not in shown
    assert SECRET.removeprefix("whsec_") not in shown
    assert "token" not in shown


def test_a_delivery_does_not_show_body_or_url() -> None:
    delivery = Delivery(
        1, "evt_1", "job-1", 1, "http://127.0.0.1/token", "job.ended", b"user data", 0, 0.0, 0.0
    )
    assert "token" not in repr(delivery)
    assert "user data" not in repr(delivery)


def test_a_notifier_cannot_be_built_without_a_usable_secret() -> None:
    for secrets in ((), ("nonsense",)):
        with pytest.raises(SecretError):
            Notifier(MemoryOutbox(), NotifySettings(worker="w", secrets=secrets), lambda: 0.0, lambda: 0.0)
