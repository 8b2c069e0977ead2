"""Every kind of receiver takes alerts, and what it refuses in its own way counts as refused."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core import mail
from django.test import Client
from django.utils import timezone

from notifications.alerts import alert
from notifications.models import Alert, AlertRoute
from notifications.receivers import RECEIVERS
from notifications.receivers.feishu import sign
from notifications.tasks import send_alerts
from paycenter.models import Event
from tests.fakes.staff import make_staff, signed_in
from tests.notifications.feishu_robot import FeishuRobot
from tests.notifications.mail_server import MailServer
from tests.notifications.receiver import Receiver, Say
from tests.notifications.robot import Robot
from tests.notifications.test_certificates import certificate, some_key
from tests.notifications.wecom_robot import WeComRobot

pytestmark = pytest.mark.django_db


def raise_one(key: str = "k", **values: Any) -> None:
    alert(**{"kind": "security", "key": key, "title": "Odd", "severity": "critical", **values})


def sent() -> Alert:
    send_alerts()
    return Alert.objects.latest("id")


def test_every_kind_an_operator_can_choose_has_its_receiver() -> None:
    assert set(AlertRoute.Kind.values) == set(RECEIVERS)


def test_a_wecom_robot_takes_it_within_its_4096_bytes(receiver: Receiver) -> None:
    robot = WeComRobot(receiver)
    AlertRoute.objects.create(name="duty", kind="wecom", url=robot.url, language="en")
    for index in range(30):
        raise_one(f"k{index}", text="详" * 3000)
    assert sent().sent_at is not None
    (text,) = robot.taken
    assert "Odd" in text
    assert "more: see the list of alerts" in text  # what does not fit is counted


def test_a_wecom_robot_with_a_wrong_key_refuses_with_http_200(receiver: Receiver) -> None:
    robot = WeComRobot(receiver)
    AlertRoute.objects.create(name="duty", kind="wecom", url=robot.url + "x")
    raise_one()
    one = sent()
    assert one.sent_at is None
    assert "93000" in one.error
    assert robot.key not in one.error


def test_a_feishu_robot_checks_the_signature(receiver: Receiver) -> None:
    robot = FeishuRobot(receiver)
    route = AlertRoute.objects.create(name="duty", kind="feishu", url=robot.url, secret="wrong")
    raise_one(text="a\n" * 20_000)
    one = sent()
    assert (one.sent_at, "19021" in one.error) == (None, True)
    AlertRoute.objects.filter(pk=route.pk).update(secret=robot.secret)
    Alert.objects.update(next_send_at=timezone.now())
    assert sent().sent_at is not None
    assert robot.taken[0]["header"]["template"] == "red"


def test_the_feishu_signature_equals_what_openssl_makes() -> None:
    # printf '' | openssl dgst -sha256 -hmac $'1599360473\ndemo' -binary | base64
    assert sign("demo", 1599360473) == "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="


@pytest.mark.parametrize(("kind", "seconds"), [("wecom", 60), ("feishu", 60), ("dingtalk", 600)])
def test_a_robot_that_is_busy_gets_nothing_more_for_as_long_as_it_says(
    kind: str, seconds: int, receiver: Receiver
) -> None:
    answers = {"dingtalk": b'{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}',
               "wecom": b'{"errcode":45009,"errmsg":"api freq out of limit"}',
               "feishu": b'{"code":11232,"msg":"frequency limited"}'}  # fmt: skip
    receiver.answers["/hook"] = Say(200, answers[kind])
    AlertRoute.objects.create(name="duty", kind=kind, url=receiver.url("/hook"))
    raise_one()
    one = sent()
    assert one.tries == 0  # waiting is no failed try
    assert abs((one.next_send_at - timezone.now()).total_seconds() - seconds) < 5
    raise_one("another")
    send_alerts()
    assert len(receiver.of("/hook")) == 1


def test_http_429_is_waited_out_as_the_answer_asks(receiver: Receiver) -> None:
    receiver.answers["/hook"] = Say(429, b"{}", {"x-ogw-ratelimit-reset": "52"})
    AlertRoute.objects.create(name="duty", kind="feishu", url=receiver.url("/hook"))
    raise_one()
    assert 45 < (sent().next_send_at - timezone.now()).total_seconds() < 55


def mailbox(settings: Any, **values: Any) -> AlertRoute:
    settings.EMAIL_HOST, settings.EMAIL_BACKEND = "mail.example", "django.core.mail.backends.locmem.EmailBackend"
    return AlertRoute.objects.create(name="mail", kind="email", addresses="a@x.example\nb@x.example", **values)


def test_mail_goes_to_every_address(settings: Any) -> None:
    mailbox(settings, language="en")
    raise_one(title="Odd\nBcc: x@evil.example")
    assert sent().sent_at is not None
    (message,) = mail.outbox
    assert message.to == ["a@x.example", "b@x.example"]
    assert message.subject.startswith("[Payment Center] Odd")
    assert "\n" not in message.subject


@pytest.mark.parametrize(
    ("error", "tries"),
    [(smtplib.SMTPDataError(451, b"try later"), 0), (smtplib.SMTPDataError(554, b"no"), 1), (OSError("x"), 1),
     (smtplib.SMTPRecipientsRefused({"a@x.example": (550, b"unknown")}), 1)],
)  # fmt: skip
def test_a_mail_server_that_refuses(error: Exception, tries: int, settings: Any, monkeypatch: Any) -> None:
    mailbox(settings)
    monkeypatch.setattr("django.core.mail.message.EmailMessage.send", lambda self: (_ for _ in ()).throw(error))
    raise_one()
    one = sent()
    assert (one.sent_at, one.tries) == (None, tries)
    assert one.next_send_at > timezone.now()


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    server = MailServer()
    mailbox(settings, language="en")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
    settings.EMAIL_USE_SSL = settings.EMAIL_USE_TLS = False
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = server.user, server.password
    yield server
    server.stop()


def test_a_mail_server_takes_it_from_whom_it_knows(mail_server: MailServer) -> None:
    raise_one(text="金额不符\n.\n..end")
    assert sent().sent_at is not None
    ((to, message),) = mail_server.taken
    assert to == ["a@x.example", "b@x.example"]
    assert str(message["subject"]).startswith("[Payment Center] Odd")
    assert "金额不符\n.\n..end" in message.get_content().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("change", "tries", "words"),
    [({"password": "another"}, 1, "SMTP 535"), ({"mailboxes": ()}, 1, "SMTP 550"),
     ({"busy": True}, 0, "rate limit until")],
)  # fmt: skip
def test_a_mail_server_says_no_in_its_own_words(
    mail_server: MailServer, change: dict[str, Any], tries: int, words: str, settings: Any
) -> None:
    for name, value in change.items():
        setattr(mail_server, name, value)
    raise_one()
    one = sent()
    assert (one.sent_at, one.tries, mail_server.taken) == (None, tries, [])
    assert words in one.error
    assert settings.EMAIL_HOST_PASSWORD not in one.error


def test_a_mail_server_with_a_certificate_nobody_signed_hears_no_password(
    mail_server: MailServer, settings: Any, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.write_text(some_key().private_bytes(*form).decode() + certificate(timezone.now() + timedelta(days=1)))
    mail_server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mail_server.tls.load_cert_chain(own)
    settings.EMAIL_USE_SSL = True
    raise_one()
    one = sent()
    assert "the mail server cannot be used: SSLCertVerificationError" in one.error
    assert mail_server.heard == []


def test_without_a_mail_server_it_says_so(settings: Any) -> None:
    mailbox(settings)
    settings.EMAIL_HOST = ""
    raise_one()
    assert "no mail server is configured" in sent().error


def test_each_receiver_is_told_in_its_own_language(receiver: Receiver) -> None:
    robot, lark = Robot(receiver), FeishuRobot(receiver)
    AlertRoute.objects.create(name="zh", url=robot.url, secret=robot.secret, language="zh-hans")
    AlertRoute.objects.create(name="en", kind="feishu", url=lark.url, secret=lark.secret, language="en")
    raise_one(title="A refund waits for approval", text="%(money)s for trade %(trade_no)s: %(reason)s",
              context={"money": "1.00 CNY", "trade_no": "P1", "reason": "no connection: X"})  # fmt: skip
    assert sent().sent_at is not None
    chinese, english = str(robot.taken[0]), str(lark.taken[0])
    assert "A refund waits for approval" in english
    assert "no connection: X" in english
    assert "A refund" not in chinese
    assert "no connection" not in chinese  # what stands in its places is told in that language, too


def test_the_test_button_shows_the_receivers_answer(receiver: Receiver) -> None:
    robot = FeishuRobot(receiver)
    route = AlertRoute.objects.create(name="duty", kind="feishu", url=robot.url, secret=robot.secret)
    client = signed_in(make_staff("operator"))
    page = f"/admin/notifications/alertroute/{route.pk}/"
    assert client.get(f"{page}test/").status_code == 405
    assert "0: success" in client.post(f"{page}test/", follow=True).content.decode()
    assert len(robot.taken) == 1
    robot.secret = "changed"
    assert "19021" in client.post(f"{page}test/", follow=True).content.decode()
    assert [e.detail["answer"][:5] for e in Event.objects.filter(type="alertroute.tested").order_by("id")] == [
        "0: su", "19021",
    ]  # fmt: skip
    assert signed_in(make_staff("auditor")).post(f"{page}test/").status_code == 403


@pytest.mark.parametrize(
    ("values", "where"),
    [({"kind": "email", "addresses": ""}, "addresses"), ({"kind": "email", "addresses": "nobody"}, "addresses"),
     ({"kind": "wecom", "url": ""}, "url"), ({"kind": "wecom", "url": "http://10.0.0.1/x"}, "url")],
)  # fmt: skip
def test_a_receiver_without_a_usable_address_is_not_stored(values: dict[str, str], where: str) -> None:
    client: Client = signed_in(make_staff("operator"))
    answer = client.post("/admin/notifications/alertroute/add/", {"name": "n", "language": "", **values})
    assert where in answer.context["adminform"].form.errors
    assert not AlertRoute.objects.exists()


def test_mail_addresses_are_stored_encrypted_and_one_a_line() -> None:
    client = signed_in(make_staff("operator"))
    values = {"name": "n", "kind": "email", "addresses": "a@x.example, b@x.example", "is_active": "on"}
    client.post("/admin/notifications/alertroute/add/", values)
    assert AlertRoute.objects.get().addresses == "a@x.example\nb@x.example"
    raw = AlertRoute.objects.values_list("addresses", flat=True).query
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(str(raw))
        assert "x.example" not in cursor.fetchone()[0]


def test_a_pause_ends(receiver: Receiver) -> None:
    robot = WeComRobot(receiver)
    AlertRoute.objects.create(
        name="duty", kind="wecom", url=robot.url, paused_until=timezone.now() - timedelta(seconds=1)
    )
    raise_one()
    assert sent().sent_at is not None


EVIL = (
    "Acme](https://evil.example) <@all> <at id=all></at>\n\n---\n\n"
    "#### [critical] **Pay here** [now](https://evil.example)"
)


@pytest.mark.parametrize("kind", ["dingtalk", "wecom", "feishu"])
def test_a_name_draws_no_link_mention_or_heading_in_a_robots_message(receiver: Receiver, kind: str) -> None:
    robot: Any = {"dingtalk": Robot, "wecom": WeComRobot, "feishu": FeishuRobot}[kind](receiver)
    AlertRoute.objects.create(name="r", kind=kind, url=robot.url, secret=getattr(robot, "secret", ""), language="en")
    raise_one(title="%(merchant)s", text="%(merchant)s has applied.", context={"merchant": EVIL}, merchant_no="M[x](y)")
    assert sent().sent_at is not None
    told: Any = robot.taken[0]
    text = {"dingtalk": lambda: told["markdown"]["text"], "feishu": lambda: told["elements"][0]["content"],
            "wecom": lambda: told}[kind]()  # fmt: skip
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert [("evil" in link, "/admin/" in link) for link in links] == [(False, True)]
    assert not re.search(r"<@?[a-z]|\*\*|https?://evil", text)
    assert text.count("####") == 1
    assert "Acme" in text
    assert "---" not in [line.strip() for line in text.splitlines()]
