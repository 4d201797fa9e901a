"""Reconciliation: what the PBX's list of channels says about the calls we believe in. Pure."""

from collections.abc import Collection, Iterable

import msgspec

from orchestrator.call.events import Gone
from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.requests import leg_of
from orchestrator.pbx.ari.translate import Told, alive, in_app


class Census(msgspec.Struct, frozen=True):
    """`told` of the channels asked about; `strays` are channels of our application that were not.
    `deserted` are bridges of ours in which no call lives, by their first legs."""

    told: tuple[Told, ...]
    strays: tuple[str, ...]
    deserted: tuple[str, ...] = ()


def take(
    listed: Iterable[wire.ChannelSnapshot],
    subscribed: Collection[str],
    asked: Collection[str],
    exempt: Collection[str],
    app: str,
    bridges: Iterable[wire.BridgeSnapshot] = (),
) -> Census:
    """Settle the difference.

    `listed` is GET /channels, `subscribed` the channel_ids of GET /applications/{app} (which holds a channel
    from its originate on, where the dialplan's application is Stasis only once it is answered). `exempt` are
    channels being dialled meanwhile, which the list may hold or not: their own answers and events tell.
    `bridges` is GET /bridges; each tells by its name whose it is.
    """
    living = {snapshot.id: snapshot for snapshot in listed}
    told: list[Told] = []
    for channel in asked:
        if channel in living:
            told.append((channel, alive(living[channel], app)))
        elif channel not in exempt:
            told.append((channel, Gone()))
    known = {*asked, *exempt}
    strays = tuple(
        channel
        for channel, snapshot in living.items()
        if channel not in known and (channel in subscribed or in_app(snapshot, app))
    )
    lives = {*exempt, *(channel for channel in asked if channel in living)}
    deserted = tuple(
        leg
        for leg, inside in ((leg_of(each.id), each.channels) for each in bridges if each.name == app)
        if leg and lives.isdisjoint((leg, *inside))
    )
    return Census(tuple(told), strays, deserted)
