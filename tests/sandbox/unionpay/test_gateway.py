"""The stand-in is as strict as the gateway: driven by a plain client written here, from the notes alone."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import subprocess
import time
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox.channel import Contract
from sandbox.context import Settings
from sandbox.store import Store
from tests.sandbox.running import Merchant, Running, sign_contract

BEIJING = timezone(timedelta(hours=8))
# 22:58 in Beijing: two minutes before UnionPay's day ends.
START = datetime(2026, 11, 20, 22, 58, tzinfo=BEIJING).timestamp()
ZM = (
    3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32,
    13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98,
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _start_of_time(clock: Clock) -> None:
    clock.now = START


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("unionpay"), Settings(refund_delay=1.0), clock)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def contract(sandbox: Running) -> Contract:
    return contract_of(sandbox, "Z1")


def contract_of(sandbox: Running, payment_no: str) -> Contract:
    store = Store(sandbox._state)
    try:
        return sign_contract(store, "unionpay", mode="production", name="安居物业服务有限公司", payment_no=payment_no)
    finally:
        store.close()


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    made = Merchant()
    yield made
    made.stop()


class Client:
    """A merchant's server."""

    def __init__(self, sandbox: Running, contract: Contract, clock: Clock, told_at: str) -> None:
        self.sandbox, self.contract, self.clock, self.told_at = sandbox, contract, clock, told_at
        self.key = serialization.load_pem_private_key(contract.config["sign_private_key"].encode(), None)
        self.cert = x509.load_pem_x509_certificate(contract.config["sign_cert"].encode())

    def stamp(self) -> str:
        return datetime.fromtimestamp(self.clock(), BEIJING).strftime("%Y%m%d%H%M%S")

    def fields(self, **changes: str | None) -> dict[str, str]:
        """An app payment, unless changed; None leaves a field out."""
        found: dict[str, str | None] = {
            "version": "5.1.0", "encoding": "UTF-8", "signMethod": "01", "txnType": "01", "txnSubType": "01",
            "bizType": "000201", "channelType": "08", "accessType": "0", "merId": self.contract.key,
            "certId": str(self.cert.serial_number), "orderId": secrets.token_hex(10), "txnTime": self.stamp(),
            "txnAmt": "1234", "currencyCode": "156", "backUrl": self.told_at,
        }  # fmt: skip
        return {k: v for k, v in {**found, **changes}.items() if v is not None}

    def signed(self, fields: dict[str, str]) -> dict[str, str]:
        text = "&".join(f"{k}={fields[k]}" for k in sorted(fields) if fields[k])
        digest = hashlib.sha256(text.encode()).hexdigest().encode()
        return {**fields, "signature": base64.b64encode(
            self.key.sign(digest, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr,call-arg,arg-type]
        ).decode()}  # fmt: skip

    def post(self, action: str, fields: dict[str, str]) -> dict[str, str]:
        """The raw answer, taken apart at `&` outside braces."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        path = "/filedownload/" if action == "file" else f"/gateway/api/{action}.do"
        answer = self.sandbox.request("POST", path, urlencode(fields), headers)
        assert answer.status == 200
        return dict(re.findall(r"(?:^|&)([A-Za-z0-9]+)=((?:\{[^}]*\}|[^&{])*)", answer.text))

    def ask(self, action: str, **changes: str | None) -> dict[str, str]:
        return self.post(action, self.signed(self.fields(**changes)))

    def query(self, order_id: str, txn_time: str) -> dict[str, str]:
        return self.ask("queryTrans", txnType="00", txnSubType="00", bizType="000000", orderId=order_id,
                        txnTime=txn_time, txnAmt=None, currencyCode=None, backUrl=None)  # fmt: skip

    def refund(self, trade_no: str, **changes: str) -> dict[str, str]:
        values = {"txnType": "04", "txnSubType": "00", "channelType": "07", "origQryId": trade_no, **changes}
        return self.ask("backTransReq", **values)

    def paid(self, amount: int = 1234) -> dict[str, str]:
        """A payment that happened now: the answer of its query."""
        fields = self.fields(txnAmt=str(amount))
        assert "tn" in self.post("appTransReq", self.signed(fields))
        answer = self.sandbox.control("POST", "/pay", {"attempt_no": fields["orderId"], "notify": "none"})
        assert answer.status == 200, answer.text
        return self.query(fields["orderId"], fields["txnTime"])


@pytest.fixture
def client(sandbox: Running, contract: Contract, clock: Clock, merchant: Merchant) -> Client:
    return Client(sandbox, contract, clock, f"{merchant.url}/told")


# -- requests


def test_a_good_request_gets_a_tn_of_21_digits(client: Client) -> None:
    found = client.ask("appTransReq", reqReserved="{a=1&b=2}")
    assert found["respCode"] == "00"
    assert re.fullmatch(r"\d{21}", found["tn"])
    assert found["reqReserved"] == "{a=1&b=2}"  # not encoded, whatever is inside


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"orderId": "A-1234567"}, "10"), ({"orderId": "A_1234567"}, "10"), ({"orderId": "A123456"}, "10"),
        ({"orderId": "A" * 41}, "10"), ({"txnAmt": "0"}, "10"), ({"txnAmt": "012"}, "10"),
        ({"txnAmt": "1.00"}, "10"), ({"currencyCode": "840"}, "10"), ({"channelType": "01"}, "10"),
        ({"txnSubType": "07"}, "10"), ({"bizType": "000000"}, "10"), ({"backUrl": None}, "10"),
        ({"txnTime": "20261120205800"}, "10"), ({"txnTime": "20261332000000"}, "10"), ({"txnTime": None}, "13"),
        ({"payTimeout": "20261120225759"}, "01"), ({"payTimeout": "tomorrow"}, "10"), ({"merId": None}, "13"),
        ({"version": "5.0.0"}, "10"), ({"signMethod": "11"}, "10"), ({"accessType": "1"}, "10"),
        ({"certId": "1"}, "11"), ({"merId": "777290000000000"}, "31"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused(client: Client, changes: dict[str, Any], code: str) -> None:
    found = client.ask("appTransReq", **changes)
    assert (found["respCode"], "tn" in found) == (code, False)


def test_wrong_signatures_are_refused(client: Client) -> None:
    fields = client.fields()
    good = client.signed(fields)
    text = "&".join(f"{k}={fields[k]}" for k in sorted(fields)).encode()
    once = base64.b64encode(client.key.sign(text, padding.PKCS1v15(), hashes.SHA256()))  # type: ignore[union-attr,call-arg,arg-type]
    for wrong in ({**good, "txnAmt": "1"}, {**good, "signature": once.decode()}, {**good, "extra": "1"}):
        assert client.post("appTransReq", wrong)["respCode"] == "11"
    assert client.post("appTransReq", fields)["respCode"] == "13"
    assert client.post("appTransReq", good)["respCode"] == "00"
    assert client.post("appTransReq", good)["respCode"] == "12"


def test_answers_carry_a_certificate_of_crlf_lines_and_a_signature_over_it(
    client: Client, contract: Contract
) -> None:
    found = client.ask("appTransReq")
    assert "\r\n" in found["signPubKeyCert"]
    assert "\n" not in found["signPubKeyCert"].replace("\r\n", "")
    key = x509.load_pem_x509_certificate(found["signPubKeyCert"].encode()).public_key()
    text = "&".join(f"{k}={found[k]}" for k in sorted(found) if k != "signature")
    digest = hashlib.sha256(text.encode()).hexdigest().encode()
    key.verify(base64.b64decode(found["signature"]), digest, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr,call-arg]


@pytest.mark.parametrize(("mode", "algorithm"), [("production", "sha256"), ("test", "sha1")])
def test_openssl_agrees_with_the_certificates(tmp_path: Path, mode: str, algorithm: str) -> None:
    """Another implementation's view of the chain, SHA-1 signed or not."""
    from sandbox.unionpay.contract import sign_contract as sign

    made = sign(name="n", mode=mode, base_url="http://127.0.0.1")
    texts = (made.config["root_cert"], made.config["middle_cert"], made.secrets["certificate"])
    paths = [tmp_path / name for name in ("root.pem", "middle.pem", "leaf.pem")]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
        assert x509.load_pem_x509_certificate(text.encode()).signature_hash_algorithm.name == algorithm
    command = ["openssl", "verify", "-auth_level", "0", "-CAfile", *paths[:1], "-untrusted", *paths[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- queries


def test_an_order_is_found_by_number_and_time_once_it_is_paid(client: Client, sandbox: Running) -> None:
    fields = client.fields()
    client.post("appTransReq", client.signed(fields))
    assert client.query(fields["orderId"], fields["txnTime"])["respCode"] == "34"
    sandbox.control("POST", "/pay", {"attempt_no": fields["orderId"], "notify": "none"})
    found = client.query(fields["orderId"], fields["txnTime"])
    assert (found["respCode"], found["origRespCode"], found["txnAmt"]) == ("00", "00", "1234")
    assert (found["traceNo"], found["settleDate"]) == (found["queryId"][14:20], "1120")
    assert client.query(fields["orderId"], "20261120225801")["respCode"] == "34"
    calls = sandbox.control("GET", f"/payments/{fields['orderId']}").json["calls"]
    assert calls == {"pay": 1, "query": 3}


def test_after_eleven_at_night_it_is_the_next_clearing_day(client: Client, clock: Clock) -> None:
    clock.now += 121
    assert client.paid()["settleDate"] == "1121"


# -- refunds


def test_a_refund_is_accepted_then_settled_then_told(client: Client, clock: Clock, merchant: Merchant) -> None:
    paid = client.paid()
    asked = client.refund(paid["queryId"], orderId="R1234567890A", txnAmt="234")
    assert (asked["respCode"], asked["origQryId"]) == ("00", paid["queryId"])
    pending = client.query("R1234567890A", asked["txnTime"])
    assert (pending["respCode"], pending["origRespCode"], pending["txnType"]) == ("00", "05", "04")
    clock.now += 2
    body = merchant.wait(1)[0].body.decode()
    assert "txnType=04" in body
    assert "orderId=R1234567890A" in body
    assert client.query("R1234567890A", asked["txnTime"])["origRespCode"] == "00"


def test_a_refund_that_fails_is_not_told(
    client: Client, clock: Clock, sandbox: Running, merchant: Merchant
) -> None:
    paid, number = client.paid(), "R" + secrets.token_hex(8)
    sandbox.control("POST", f"/refunds/{number}", {"outcome": "fail"})
    asked = client.refund(paid["queryId"], orderId=number)
    clock.now += 2
    deadline = time.monotonic() + 5
    while client.query(number, asked["txnTime"])["origRespCode"] == "05" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.query(number, asked["txnTime"])["origRespCode"] == "01"
    time.sleep(0.3)
    assert merchant.told == []
    assert client.refund(paid["queryId"])["respCode"] == "00"  # the money is there for another try


def test_refunds_that_cannot_be(client: Client) -> None:
    paid = client.paid()
    assert client.refund("9" * 21)["respCode"] == "35"
    assert client.refund(paid["queryId"], txnAmt="1235")["respCode"] == "36"
    number = "R" + secrets.token_hex(8)
    assert client.refund(paid["queryId"], orderId=number, txnAmt="1000")["respCode"] == "00"
    assert client.refund(paid["queryId"], orderId=number, txnAmt="1000")["respCode"] == "12"
    assert client.refund(paid["queryId"], txnAmt="235")["respCode"] == "36"
    assert client.refund(paid["queryId"], txnAmt="234")["respCode"] == "00"
    assert client.refund(paid["queryId"], orderId="R-1")["respCode"] == "10"


def test_a_query_is_counted_as_what_it_asks_for(client: Client, sandbox: Running) -> None:
    """The wire does not say it: a payment's number stays a payment's, a refused refund's is a refund's."""
    paid, refused, unknown = client.paid(), "R" + secrets.token_hex(8), "R" + secrets.token_hex(8)
    assert client.refund(paid["queryId"], orderId=refused, txnAmt="1235")["respCode"] == "36"
    for number in (paid["orderId"], refused, unknown):
        client.query(number, paid["txnTime"])

    def calls(kind: str, number: str) -> dict[str, int]:
        return dict(sandbox.control("GET", f"/{kind}/{number}").json["calls"])

    assert calls("payments", paid["orderId"]) == {"pay": 1, "query": 2, "refund": 1}
    assert calls("refunds", refused) == {"refund": 1, "query_refund": 1}
    assert calls("refunds", unknown) == {"query": 1}


def test_a_revocation_takes_all_back_within_the_clearing_day(client: Client, clock: Clock) -> None:
    first, second, third = client.paid(), client.paid(), client.paid()
    assert client.refund(first["queryId"], txnType="31", txnAmt="1")["respCode"] == "36"
    assert client.refund(first["queryId"], txnType="31")["respCode"] == "00"
    client.refund(second["queryId"], txnAmt="1")
    assert client.refund(second["queryId"], txnType="31")["respCode"] == "45"
    clock.now += 121
    assert client.refund(third["queryId"], txnType="31")["respCode"] == "35"


# -- the statement file


def statement(client: Client, day: str) -> dict[str, str]:
    return client.ask(
        "file", txnType="76", txnSubType="01", bizType="000000", channelType=None, orderId=None, txnAmt=None,
        currencyCode=None, backUrl=None, settleDate=day, fileType="00",
    )  # fmt: skip


def columns(content: str) -> list[list[str]]:
    """Base64, zlib, ZIP, then columns counted in bytes."""
    archive = zipfile.ZipFile(io.BytesIO(zlib.decompress(base64.b64decode(content))))
    name = next(n for n in archive.namelist() if "ZM_" in n)
    assert re.fullmatch(r"INN\d{6}\d{2}ZM_777290\d{9}", name)
    found = []
    for line in archive.read(name).splitlines():
        assert len(line) == sum(ZM) + len(ZM) - 1
        at, row = 0, []
        for width in ZM:
            row.append(line[at : at + width].decode("gbk").strip())
            at += width + 1
        found.append(row)
    return found


def test_the_statement_holds_a_clearing_day(clock: Clock, sandbox: Running, merchant: Merchant) -> None:
    # A merchant of its own: refunds that other tests left undecided are decided as the clock goes on.
    client = Client(sandbox, contract_of(sandbox, "Z2"), clock, f"{merchant.url}/told")
    clock.now = START + 10 * 86400
    early = client.paid(20000)
    clock.now += 180  # past 23:00: belongs to the next day's file
    late = client.paid(30000)
    refund_no = "R" + secrets.token_hex(8)
    refund = client.refund(early["queryId"], orderId=refund_no, txnAmt="5000")
    # Only what was given back is in a file, on the day it was.
    sandbox.control("POST", f"/refunds/{refund_no}", {"outcome": "success"})
    assert [statement(client, day)["respCode"] for day in ("1130", "1201", "1331")] == ["98", "98", "10"]
    clock.now += 3 * 86400
    first = columns(statement(client, "1130")["fileContent"])
    assert [(row[9], row[6], row[27]) for row in first] == [
        (early["queryId"], "000000020000", client.contract.key)
    ]
    assert (first[0][16], first[0][15]) == ("C000000019880", "D000000000120")  # 0.6 % fee
    assert first[0][30] == "安居物业服务有限公司"
    second = columns(statement(client, "1201")["fileContent"])
    assert {(row[9], row[19]) for row in second} == {(late["queryId"], "01"), (refund["queryId"], "04")}
    given_back = next(row for row in second if row[19] == "04")
    assert (given_back[26], given_back[16][:1]) == (early["queryId"], "D")
    assert columns(statement(client, "1202")["fileContent"]) == []


def test_the_controls_show_the_same_file(client: Client, clock: Clock, sandbox: Running) -> None:
    clock.now = START + 20 * 86400
    client.paid(700)
    answer = sandbox.control("GET", "/bill/Z1/2026-12-10")
    assert answer.status == 200
    rows = columns(base64.b64encode(zlib.compress(answer.body)).decode())
    assert [row[6] for row in rows] == ["000000000700"]
