"""The switch of a channel account by hand."""

from __future__ import annotations

from paycenter.models import Event
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.models import ChannelHealth

BASE = "/admin/trades/channelhealth/"


def test_an_operator_takes_an_account_out_of_use_with_a_reason(world: World) -> None:
    health = ChannelHealth.objects.create(account=world.account)
    client = signed_in(make_staff("operator"))
    url = f"{BASE}{health.pk}/change/"
    client.post(url, {"switch": "off"})
    assert ChannelHealth.objects.get().switch == "auto"
    client.post(url, {"switch": "off", "reason": "maintenance tonight"})
    assert ChannelHealth.objects.get().switch == "off"
    event = Event.objects.get(type="channel.switched")
    assert (event.actor, event.reason, event.to_state) == ("staff:operator", "maintenance tonight", "off")
    assert "out of use" in client.get(BASE).content.decode()


def test_others_only_look(world: World) -> None:
    health = ChannelHealth.objects.create(account=world.account)
    client = signed_in(make_staff("service"))
    assert client.get(f"{BASE}{health.pk}/change/").status_code == 200
    assert client.post(f"{BASE}{health.pk}/change/", {"switch": "off", "reason": "because"}).status_code == 403
    assert ChannelHealth.objects.get().switch == "auto"
