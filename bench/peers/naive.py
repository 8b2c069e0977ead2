# mypy: disable-error-code="attr-defined,no-any-return"
"""The usual way to write gopay: a REST framework view, model serializers, the ORM, Django's own project settings.

It checks the same signature, remembers the nonce, and writes order, attempt, three events and the log of the call. It
has no states to protect, no repeats, no locks, no masking, no limits and no channel.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from typing import Any

from django.db import connection, models, transaction
from django.urls import path
from django.utils import timezone
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

SECRET = os.environ.get("NAIVE_SECRET", "")


def _number() -> str:
    return secrets.token_hex(14)


class Client(models.Model):
    app_id = models.CharField(max_length=32, unique=True)
    secret = models.CharField(max_length=64)

    class Meta:
        app_label = "naive"


class Nonce(models.Model):
    client = models.ForeignKey(Client, models.CASCADE)
    nonce = models.CharField(max_length=64, unique=True)

    class Meta:
        app_label = "naive"


class Trade(models.Model):
    trade_no = models.CharField(max_length=32, unique=True, default=_number)
    client = models.ForeignKey(Client, models.PROTECT)
    merchant_no = models.CharField(max_length=32, db_index=True)
    app_order_no = models.CharField(max_length=64, unique=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    subject = models.CharField(max_length=128)
    state = models.CharField(max_length=16, default="waiting", db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"


class Attempt(models.Model):
    attempt_no = models.CharField(max_length=32, unique=True, default=_number)
    trade = models.ForeignKey(Trade, models.PROTECT)
    method = models.CharField(max_length=32)
    state = models.CharField(max_length=16, default="created", db_index=True)
    pay = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "naive"


class Event(models.Model):
    trade = models.ForeignKey(Trade, models.PROTECT)
    type = models.CharField(max_length=48)
    data = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"


class Log(models.Model):
    path = models.CharField(max_length=200)
    request = models.TextField()
    response = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"


class TradeSerializer(serializers.ModelSerializer[Trade]):
    method = serializers.CharField(max_length=32, write_only=True)

    class Meta:
        model = Trade
        fields = (
            "trade_no", "merchant_no", "app_order_no", "amount", "currency", "subject", "state", "created_at", "method",
        )  # fmt: skip
        read_only_fields = ("trade_no", "state", "created_at")


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    trade = TradeSerializer(read_only=True)

    class Meta:
        model = Attempt
        fields = ("attempt_no", "trade", "method", "state", "pay")


class Gopay(APIView):
    def post(self, request: Request) -> Response:
        body = request._request.body
        client = self._client(request, body)
        given = TradeSerializer(data=json.loads(body))
        given.is_valid(raise_exception=True)
        method = given.validated_data.pop("method")
        with transaction.atomic():
            trade = given.save(client=client)
            Event.objects.create(trade=trade, type="trade.created", data=TradeSerializer(trade).data)
            attempt = Attempt.objects.create(trade=trade, method=method)
            Event.objects.create(trade=trade, type="attempt.created", data={"attempt_no": attempt.attempt_no})
        attempt.pay, attempt.state, attempt.submitted_at = {"qr": "constant://pay"}, "submitted", timezone.now()
        trade.state = "paying"
        with transaction.atomic():
            attempt.save()
            trade.save()
            Event.objects.create(trade=trade, type="trade.paying", data=TradeSerializer(trade).data)
        answer: dict[str, Any] = {"errno": 0, "msg": "ok", "data": AttemptSerializer(attempt).data}
        Log.objects.create(path=request.path, request=body.decode(), response=json.dumps(answer, default=str))
        return Response(answer)

    def _client(self, request: Request, body: bytes) -> Client:
        headers = request.headers
        client = Client.objects.filter(app_id=headers["X-App-Id"]).first()
        if client is None:
            raise exceptions.AuthenticationFailed
        text = f"POST\n{request.path}\n{headers['X-Timestamp']}\n{headers['X-Nonce']}\n".encode() + body + b"\n"
        digest = hmac.digest(client.secret.encode(), text, hashlib.sha256)
        if not hmac.compare_digest(digest, base64.b64decode(headers["X-Signature"])):
            raise exceptions.AuthenticationFailed
        Nonce.objects.create(client=client, nonce=headers["X-Nonce"])
        return client


def make_tables() -> None:
    """Once, in an empty database."""
    with connection.schema_editor() as editor:
        for model in (Client, Nonce, Trade, Attempt, Event, Log):
            editor.create_model(model)
    Client.objects.create(app_id="APPBENCH", secret=SECRET)


urlpatterns = [path("v1/gopay", Gopay.as_view())]
