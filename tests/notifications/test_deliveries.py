"""What an app receives, and what becomes of a message by how the app answers."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone, translation

from merchants.models import App
from notifications import deliveries
from notifications.deliveries import Pump
from notifications.models import Alert, Notification, NotificationState
from paycenter import egress
from paycenter.http import TimeLimits
from paycenter.models import Event, RetrySchedule
from paycenter.outbound import client
from tests.notifications.conftest import make_app, new_secret
from tests.notifications.receiver import Got, Receiver, Say, verified

Tell = Callable[..., Notification]
LADDER = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 21600, 21600, 43200, 86400, 86400]


def pump(seconds: float = 20.0) -> int:
    one = Pump()
    one.run(seconds)
    one.drain()
    return one.sent


def make_due(notification: Notification) -> None:
    Notification.objects.filter(pk=notification.pk).update(next_delivery_at=timezone.now() - timedelta(seconds=1))


class TestTheMessage:
    def test_is_signed_and_carries_what_was_frozen(self, app: App, receiver: Receiver, tell: Tell) -> None:
        made = tell(app, amount=100)
        pump()
        (got,) = receiver.got
        assert verified(got, app.webhook_secret)
        assert got.headers["webhook-id"] == made.webhook_id
        assert got.headers["content-type"].startswith("application/json")
        assert set(got.json) == {"id", "type", "created_at", "data"}
        assert got.json["id"] == made.webhook_id
        assert got.json["type"] == "trade.paid"
        assert got.json["data"] == {"trade_no": "P1", "subject": "物业费", "amount": 100}
        assert got.json["created_at"].endswith("+08:00")

    def test_is_the_same_on_every_try_but_for_the_timestamp(
        self, app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receiver.answers["/told"] = [Say(500), Say(body=b"no"), Say()]
        made = tell(app)
        start = timezone.now()
        for minute in range(3):
            monkeypatch.setattr(deliveries.timezone, "now", lambda m=minute: start + timedelta(minutes=m))
            make_due(made)
            pump()
        assert len(receiver.got) == 3
        assert len({one.body for one in receiver.got}) == 1
        assert {one.headers["webhook-id"] for one in receiver.got} == {made.webhook_id}
        assert len({one.headers["webhook-timestamp"] for one in receiver.got}) == 3
        assert all(verified(one, app.webhook_secret) for one in receiver.got)

    def test_is_signed_with_both_secrets_while_one_rotates(self, db: None, receiver: Receiver, tell: Tell) -> None:
        app = make_app(webhook_secret_previous=new_secret())
        tell(app)
        pump()
        (got,) = receiver.got
        assert len(got.headers["webhook-signature"].split(" ")) == 2
        assert verified(got, app.webhook_secret)
        assert verified(got, app.webhook_secret_previous)
        assert not verified(got, new_secret())

    def test_does_not_go_out_unsigned(self, db: None, receiver: Receiver, tell: Tell) -> None:
        made = tell(make_app(webhook_secret=""))
        pump()
        assert receiver.connections == 0
        assert "no webhook secret" in made.deliveries.get().error


class TestTheAnswer:
    @pytest.mark.parametrize(
        "say",
        [
            Say(body=b"success"), Say(body=b" SUCCESS\r\n"), Say(status=201, body=b"Success"), Say(body=b'{"errno":0}'),
            Say(body=b'{"errno": 0, "msg": "ok", "data": {}}'),
        ],
    )  # fmt: skip
    def test_acknowledges(self, say: Say, app: App, receiver: Receiver, tell: Tell) -> None:
        receiver.answers["/told"] = say
        made = tell(app)
        pump()
        made.refresh_from_db()
        assert made.state == NotificationState.DELIVERED
        assert made.next_delivery_at is None
        assert made.delivered_at is not None
        tried = made.deliveries.get()
        assert (tried.status, tried.acknowledged, tried.error) == (say.status, True, "")
        assert pump() == 0

    @pytest.mark.parametrize(
        "say",
        [
            Say(body=b""), Say(body=b"ok"), Say(body=b"success!"), Say(body=b'"success"'), Say(body=b'{"errno":"0"}'),
            Say(body=b'{"errno":false}'), Say(body=b'{"errno":0.0}'), Say(body=b'{"errno":1}'), Say(body=b"[0]"),
            Say(body=b'{"code":0}'), Say(body=b"<html>success</html>"), Say(status=500), Say(status=404),
            Say(status=302, headers={"location": "/elsewhere"}), Say(body=b"{" * 5000), Say(body=b"\xff\xfe"),
        ],
    )  # fmt: skip
    def test_does_not_acknowledge(self, say: Say, app: App, receiver: Receiver, tell: Tell) -> None:
        receiver.answers["/told"] = say
        made = tell(app)
        before = timezone.now()
        pump()
        made.refresh_from_db()
        assert made.state == NotificationState.PENDING
        assert made.delivered_at is None
        assert 4.5 <= (made.next_delivery_at - before).total_seconds() <= 6.5
        tried = made.deliveries.get()
        assert tried.status == say.status
        assert tried.error
        assert not tried.acknowledged
        assert receiver.of("/elsewhere") == []

    def test_is_kept_masked_and_short(self, app: App, receiver: Receiver, tell: Tell) -> None:
        receiver.answers["/told"] = Say(500, b'{"password":"hunter2","phone":"13812345678"}' + b"x" * 2000)
        made = tell(app)
        pump()
        kept = made.deliveries.get().response
        assert "hunter2" not in kept
        assert "13812345678" not in kept
        assert "password" in kept
        assert len(kept) <= 500

    def test_that_never_ends_is_cut_off(self, app: App, receiver: Receiver, tell: Tell) -> None:
        receiver.answers["/told"] = Say(200, b"success" + b" " * (deliveries.MAX_ANSWER_BYTES + 1))
        made = tell(app)
        pump()
        assert "larger than" in made.deliveries.get().error
        made.refresh_from_db()
        assert made.state == NotificationState.PENDING

    def test_nobody_there(self, app: App, tell: Tell) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            made = tell(app, url=f"http://127.0.0.1:{taken.getsockname()[1]}/")
            pump()
        tried = made.deliveries.get()
        assert tried.status is None
        assert "no connection" in tried.error


class TestTheLadder:
    def test_is_climbed_with_jitter_and_then_given_up(self, app: App, receiver: Receiver, tell: Tell) -> None:
        receiver.answers["/told"] = Say(503)
        made = tell(app)
        waits = []
        while True:
            before = timezone.now()
            pump()
            made.refresh_from_db()
            if made.next_delivery_at is None:
                break
            waits.append((made.next_delivery_at - before).total_seconds())
            make_due(made)
        assert len(waits) == len(LADDER)
        for waited, wanted in zip(waits, LADDER, strict=True):
            assert wanted * 0.9 <= waited <= wanted * 1.1 + 1
        assert made.state == NotificationState.GIVEN_UP
        assert made.tries == made.deliveries.count() == 17
        assert [d.number for d in made.deliveries.all()] == list(range(1, 18))

    def test_giving_up_tells_people_and_leaves_an_event(self, app: App, receiver: Receiver, tell: Tell) -> None:
        RetrySchedule.objects.create(name="delivery", delays=[0])
        receiver.answers["/told"] = Say(503)
        made = tell(app)
        pump()
        raised = Alert.objects.get(kind="give_up")
        assert made.webhook_id in raised.text
        assert raised.trade_no == "P1"
        event = Event.objects.get(type="notification.given_up")
        assert (event.trade_no, event.to_state, event.public) == ("P1", "given_up", False)
        assert "503" in event.reason

    def test_a_receiver_that_is_gone_raises_one_alert_not_hundreds(
        self, app: App, receiver: Receiver, tell: Tell
    ) -> None:
        RetrySchedule.objects.create(name="delivery", delays=[0])
        receiver.answers["/told"] = Say(503)
        for _ in range(25):
            tell(app)
        pump()
        assert Notification.objects.filter(state="given_up").count() == 25
        assert Alert.objects.get().count == 25

    def test_is_data_an_operator_can_change(self, app: App, receiver: Receiver, tell: Tell) -> None:
        RetrySchedule.objects.create(name="delivery", delays=[0, 1000])
        receiver.answers["/told"] = Say(500)
        made = tell(app)
        pump()
        made.refresh_from_db()
        assert 890 <= (made.next_delivery_at - timezone.now()).total_seconds() <= 1101

    def test_nothing_is_sent_before_its_time(self, app: App, receiver: Receiver, tell: Tell) -> None:
        tell(app, now=timezone.now() + timedelta(seconds=30))
        assert pump() == 0
        assert receiver.connections == 0


class TestSlowReceivers:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deliveries, "LIMITS", TimeLimits(connect=1.0, total=2.0))

    @pytest.mark.clock
    def test_a_hanging_one_holds_up_nobody_else(
        self, app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deliveries, "_WINDOW", 60)  # more is due for the hanging one than a claim looks at
        hanging = Receiver()
        try:
            hanging.answers["/told"] = Say(hang=True)
            for _ in range(200):
                tell(app, url=hanging.url("/told"))
            last = tell(app, "/quick")  # due after all the others
            started = time.monotonic()
            pump(1.5)
            (got,) = receiver.of("/quick")
            assert got.at - started < 1.5
            assert hanging.most_open <= deliveries.SLOTS_PER_HOST
            last.refresh_from_db()
            assert last.state == NotificationState.DELIVERED
            tried = Notification.objects.filter(url=hanging.url("/told"), tries=1)
            assert tried.count() >= 1
            assert "no answer within 2 s" in tried[0].deliveries.get().error
        finally:
            hanging.stop()

    @pytest.mark.clock
    def test_results_are_written_while_another_still_hangs(
        self, app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receiver.answers["/hang"] = Say(hang=True)
        tell(app, "/hang")
        quick = tell(app, "/quick")
        written: list[tuple[float, set[int]]] = []
        real = deliveries.write
        started = time.monotonic()

        def spy(outcomes: list[deliveries.Outcome]) -> None:
            real(outcomes)
            written.append((time.monotonic() - started, {o.claim.pk for o in outcomes}))

        monkeypatch.setattr(deliveries, "write", spy)
        pump(5)
        first = min(at for at, ids in written if quick.pk in ids)
        assert first < 1.0

    def test_one_that_timed_out_gets_few_slots(self, app: App, receiver: Receiver, tell: Tell) -> None:
        one = Pump()
        slow = deliveries.Claim(1, "m", receiver.url(), "slow:80", b"{}", (), "schedule", timezone.now())
        one._busy["slow:80"] = 1
        one._release(deliveries.Outcome(slow, timezone.now(), 2000, error="no answer", slow=True))
        assert one._room() == {"slow:80": deliveries.SLOTS_OF_SLOW_HOST}
        one._busy["slow:80"] = 1
        one._release(deliveries.Outcome(slow, timezone.now(), 20, status=200, acknowledged=True))
        assert one._room() == {}

    @pytest.mark.clock
    def test_a_dripping_answer_ends_at_the_time_limit(self, app: App, receiver: Receiver, tell: Tell) -> None:
        """A byte every 0.1 s is always in time for the next read, and never ends: in the head, and in the body."""
        receiver.answers["/head"] = Say(body=b"success" * 100, drip=0.1)
        receiver.answers["/body"] = Say(body=b"success" * 100, drip=0.1, drip_body=True)
        told = [tell(app, "/head"), tell(app, "/body")]
        started = time.monotonic()
        pump()
        assert 1.9 < time.monotonic() - started < 4
        assert receiver.dripped >= 10, "bytes came all along"
        assert ["no answer within 2 s" in one.deliveries.get().error for one in told] == [True, True]


class TestEgress:
    """A callback that is, redirects or re-binds to an inner address gets no packet."""

    @pytest.fixture(autouse=True)
    def _production(self, settings: object) -> None:
        settings.EGRESS_ALLOWED = []  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "127.1"]
    )
    def test_an_inner_address(self, host: str, app: App, receiver: Receiver, tell: Tell) -> None:
        made = tell(app, url=f"http://{host}:{receiver.port}/told")
        pump()
        assert receiver.connections == 0
        tried = made.deliveries.get()
        assert tried.error in ("not a usable address", "the address is not public") or "not public" in tried.error
        made.refresh_from_db()
        assert made.state == NotificationState.PENDING
        assert made.next_delivery_at is not None

    def test_a_name_that_resolves_inside(
        self, app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = iter([["93.184.216.34", "127.0.0.1"]])
        resolve_to(monkeypatch, lambda: next(answers))
        made = tell(app, url=f"http://callback.example:{receiver.port}/told")
        pump()
        assert receiver.connections == 0
        assert "callback.example resolves to an address that is not public" in made.deliveries.get().error

    def test_a_name_that_re_binds_between_tries(
        self, app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch, settings: object
    ) -> None:
        # The first answer is permitted (a documentation address standing for a public one), the next is not.
        settings.EGRESS_ALLOWED = ["127.0.0.2/32"]  # type: ignore[attr-defined]
        names = iter([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]])
        asked: list[str] = []
        resolve_to(monkeypatch, lambda: asked.append("x") or next(names))
        made = tell(app, url=f"http://rebind.example:{receiver.port}/told")
        pump()
        make_due(made)
        pump()
        assert receiver.connections == 0  # it listens on 127.0.0.1 only
        assert len(asked) == 2  # resolved once per try, and never between check and use
        first, second = made.deliveries.all()
        assert "no connection" in first.error
        assert "not public" in second.error

    def test_a_redirect_inside(self, app: App, receiver: Receiver, tell: Tell, settings: object) -> None:
        settings.EGRESS_ALLOWED = ["127.0.0.0/8"]  # type: ignore[attr-defined]
        inner = Receiver()
        try:
            receiver.answers["/told"] = Say(307, headers={"location": inner.url("/inner")})
            made = tell(app)
            pump()
            assert len(receiver.got) == 1
            assert inner.connections == 0
            assert made.deliveries.get().error == "redirects are not followed"
        finally:
            inner.stop()

    @pytest.mark.parametrize(
        "url", ["ftp://203.0.113.9/", "http://", "http://user:pw@93.184.216.34/", "http://[::1", "x"]
    )
    def test_an_address_of_another_kind(self, url: str, app: App, tell: Tell) -> None:
        made = tell(app, url=url)
        pump()
        tried = made.deliveries.get()
        assert tried.error
        assert tried.status is None
        assert "pw" not in tried.error


def resolve_to(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], list[str]]) -> None:
    """Every name resolves to what `answer` says at that moment."""

    async def resolve(self: object, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, object]]:
        return [
            {"hostname": host, "host": ip, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for ip in answer()
        ]

    monkeypatch.setattr(egress.ThreadedResolver, "resolve", resolve)


def test_the_sweep_costs_the_same_for_one_and_for_fifty(
    app: App, receiver: Receiver, tell: Tell, django_assert_max_num_queries: Callable[..., object]
) -> None:
    for _ in range(50):
        tell(app)
    claimed = deliveries.claim(limit=100, room={}, default_room=100)
    assert len(claimed) == 50
    now = timezone.now()
    outcomes = [deliveries.Outcome(one, now, 1, status=200, acknowledged=True) for one in claimed]
    with django_assert_max_num_queries(5):  # savepoint, lock, insert, update, release
        deliveries.write(outcomes)
    assert Notification.objects.filter(state="delivered").count() == 50


def test_what_was_sent_by_hand_names_who_asked(app: App, receiver: Receiver, tell: Tell) -> None:
    from notifications.services import notification_resend

    RetrySchedule.objects.create(name="delivery", delays=[0])
    receiver.answers["/told"] = [Say(500), Say(500), Say()]
    made = tell(app)
    pump()
    made.refresh_from_db()
    assert made.state == NotificationState.GIVEN_UP

    notification_resend(notification=made, actor="staff:lin")
    pump()
    made.refresh_from_db()
    assert (made.state, made.next_delivery_at) == (NotificationState.GIVEN_UP, None)  # one more try, not a ladder
    notification_resend(notification=made, actor="staff:lin")
    pump()
    made.refresh_from_db()
    assert made.state == NotificationState.DELIVERED
    assert [d.by for d in made.deliveries.all()] == ["schedule", "staff:lin", "staff:lin"]
    assert Event.objects.filter(type="notification.resent", actor="staff:lin", trade_no="P1").count() == 2
    assert len({one.body for one in receiver.got}) == 1


def test_a_failed_re_send_does_not_take_the_acknowledgement_back(app: App, receiver: Receiver, tell: Tell) -> None:
    from notifications.services import notification_resend

    receiver.answers["/told"] = [Say(), Say(500)]
    made = tell(app)
    pump()
    made.refresh_from_db()
    acknowledged_at = made.delivered_at
    notification_resend(notification=made, actor="staff:lin")
    pump()
    made.refresh_from_db()
    assert len(receiver.got) == 2
    assert (made.state, made.delivered_at, made.next_delivery_at) == ("delivered", acknowledged_at, None)


def test_a_late_result_leaves_a_newer_claim_alone(app: App, receiver: Receiver, tell: Tell) -> None:
    """A worker that was held up longer than its lease reports after another took the row."""
    made = tell(app)
    (old,) = deliveries.claim(limit=1, room={})
    make_due(made)
    (new,) = deliveries.claim(limit=1, room={})
    assert old.pk == new.pk
    deliveries.write([deliveries.Outcome(old, timezone.now(), 1, error="no answer")])
    made.refresh_from_db()
    assert made.next_delivery_at == new.until
    deliveries.write([deliveries.Outcome(new, timezone.now(), 1, status=200, acknowledged=True)])
    deliveries.write([deliveries.Outcome(old, timezone.now(), 1, error="no answer")])
    made.refresh_from_db()
    assert (made.state, made.next_delivery_at, made.tries) == ("delivered", None, 3)


def test_a_surprise_in_one_message_does_not_strand_the_others(
    app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = client().fetch

    async def fetch(method: str, url: str, **rest: object) -> object:
        if "boom" in url:
            raise RuntimeError("surprise")
        return await real(method, url, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(client(), "fetch", fetch)
    bad, good = tell(app, "/boom"), tell(app, "/good")
    pump()
    assert "RuntimeError" in bad.deliveries.get().error
    good.refresh_from_db()
    assert good.state == NotificationState.DELIVERED


def test_messages_of_one_receiver_leave_no_more_than_its_slots_at_once(
    app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "SLOTS_PER_HOST", 3)
    monkeypatch.setattr(deliveries.claim, "__kwdefaults__", {"default_room": 3})
    receiver.answers["/told"] = Say(after=0.02)
    for _ in range(20):
        tell(app)
    pump()
    assert receiver.most_open <= 3
    assert len({one.headers["webhook-id"] for one in receiver.got}) == len(receiver.got) == 20


def test_json_stays_readable_on_the_wire(app: App, receiver: Receiver, tell: Tell) -> None:
    tell(app)
    pump()
    got: Got = receiver.got[0]
    assert "物业费".encode() in got.body
    assert json.loads(got.body)["data"]["subject"] == "物业费"


def test_people_are_told_in_their_language(app: App, receiver: Receiver, tell: Tell) -> None:
    RetrySchedule.objects.create(name="delivery", delays=[0])
    receiver.answers["/told"] = Say(503)
    made = tell(app)
    with translation.override("zh-hans"):
        pump()
    raised = Alert.objects.get()
    assert raised.title == f"应用未确认通知：127.0.0.1:{receiver.port}"
    assert f"{made.webhook_id} 尝试 1 次后放弃" in raised.text
