"""An app with a webhook secret, a receiver of its own, and notifications to it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.db import transaction
from django.utils import timezone

from merchants.models import App
from notifications.models import Notification
from notifications.services import notification_create
from tests.notifications.receiver import Receiver


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def make_app(app_id: str = "app0000000001", **values: object) -> App:
    return App.objects.create(**{"app_id": app_id, "name": "app", "webhook_secret": new_secret(), **values})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


@pytest.fixture
def app(db: None) -> App:
    return make_app()


@pytest.fixture
def tell(receiver: Receiver) -> Callable[..., Notification]:
    """Commit a notification to a path of the receiver, or to a full address."""

    def create(
        app: App, path: str = "/told", *, url: str = "", now: datetime | None = None, **data: object
    ) -> Notification:
        with transaction.atomic():
            made = notification_create(
                app=app, type="trade.paid", data={"trade_no": "P1", "subject": "物业费", **data},
                url=url or receiver.url(path), trade_no="P1", now=now or timezone.now(),
            )  # fmt: skip
        assert made is not None
        return made

    return create


@pytest.fixture
def committed_app(transactional_db: None) -> App:
    return make_app()
