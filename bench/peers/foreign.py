"""Other packages that take payments, each in the environment it is installed in: what making one payment costs.

`foreign.py NAME PAYMENTS` runs in a process of its own under that environment, without a web server: it stores so many
payments, then makes and finds new ones, and prints the milliseconds of its own processor time for each as JSON.
Only that package and Django are imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from collections.abc import Callable
from urllib.parse import urlsplit

CALLS = 200


def _configure(apps: list[str], **more: object) -> None:
    from django.conf import settings

    parts = urlsplit(os.environ["DATABASE_URL"])
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "USER": parts.username,
        "PASSWORD": parts.password, "HOST": parts.hostname, "PORT": parts.port, "CONN_MAX_AGE": 600,
    }  # fmt: skip
    settings.configure(
        DATABASES={"default": database}, SECRET_KEY="peer", USE_TZ=True, ROOT_URLCONF="peer_urls",  # noqa: S106
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites", *apps], SITE_ID=1,
        ALLOWED_HOSTS=["*"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", **more,
    )  # fmt: skip
    urls = types.ModuleType("peer_urls")
    urls.urlpatterns = []  # type: ignore[attr-defined]
    sys.modules["peer_urls"] = urls
    app = types.ModuleType("peer")
    app.__path__ = [os.path.dirname(__file__)]
    app.__file__ = __file__
    sys.modules["peer"] = app


def _django_payments(stored: int) -> Callable[[], None]:
    """https://django-payments.readthedocs.io/ - a payment is made, then found by its token as its page does."""
    _configure(["payments", "peer"], PAYMENT_HOST="localhost:8000", PAYMENT_MODEL="peer.Payment",
               PAYMENT_VARIANTS={"default": ("payments.dummy.DummyProvider", {})})  # fmt: skip
    import django

    django.setup()
    from django.db import connection
    from payments.models import BasePayment

    class Payment(BasePayment):  # type: ignore[misc]
        class Meta:
            app_label = "peer"

        def get_failure_url(self) -> str:
            return "http://localhost/failed"

        def get_success_url(self) -> str:
            return "http://localhost/paid"

        def get_purchased_items(self) -> list[object]:
            return []

    with connection.schema_editor() as editor:
        editor.create_model(Payment)
    Payment.objects.bulk_create(
        (Payment(variant="default", total=100, currency="EUR", token=f"stored-{n}") for n in range(stored)), 1000
    )

    def one() -> None:
        payment = Payment.objects.create(variant="default", total=100, currency="EUR", description="bench")
        Payment.objects.get(token=payment.token)
        payment.change_status("input")

    return one


def _django_getpaid(stored: int) -> Callable[[], None]:
    """https://django-getpaid.readthedocs.io/ - an order with a payment through its dummy backend."""
    _configure(["getpaid", "peer"], GETPAID_ORDER_MODEL="peer.Order", GETPAID_BACKENDS={})
    import django

    django.setup()
    from django.db import connection, models
    from getpaid.abstracts import AbstractOrder

    class Order(AbstractOrder):  # type: ignore[misc]
        total = models.DecimalField(max_digits=10, decimal_places=2, default=1)

        class Meta:
            app_label = "peer"

        def get_total_amount(self) -> object:
            return self.total

        def get_buyer_info(self) -> dict[str, str]:
            return {"email": "payer@example.com"}

        def get_description(self) -> str:
            return "bench"

        def get_return_url(self, *_args: object, **_more: object) -> str:
            return "http://localhost/done"

    from getpaid.models import Payment

    with connection.schema_editor() as editor:
        editor.create_model(Order)
        editor.create_model(Payment)
    orders = Order.objects.bulk_create((Order() for _ in range(stored)), 1000)
    Payment.objects.bulk_create(
        (Payment(order=o, amount_required=1, currency="EUR", backend="getpaid.backends.dummy") for o in orders), 1000
    )

    def one() -> None:
        payment = Payment.objects.create(
            order=Order.objects.create(), amount_required=1, currency="EUR", backend="getpaid.backends.dummy"
        )
        Payment.objects.select_related("order").get(pk=payment.pk)
        payment.confirm_prepared()
        payment.save()

    return one


PEERS = {"django-payments": _django_payments, "django-getpaid": _django_getpaid}


def main() -> None:
    work = PEERS[sys.argv[1]](int(sys.argv[2]))
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    for _ in range(20):
        work()
    print("ready", flush=True)
    for _line in sys.stdin:
        began = time.process_time()
        for _ in range(CALLS):
            work()
        print(json.dumps({"calls": CALLS, "milliseconds": (time.process_time() - began) * 1000 / CALLS}), flush=True)


if __name__ == "__main__":
    main()
