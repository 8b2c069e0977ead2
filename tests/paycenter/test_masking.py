"""Nothing secret survives masking, whatever it is planted in; numbers and amounts of ours do."""

from __future__ import annotations

import base64
import json
import string
import time
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from paycenter.masking import ELLIPSIS, HIDDEN, MAX_CHARS, mask_mapping, mask_text, mask_url
from paycenter.numbers import NumberKind, new_number

SECRET_KEYS = [
    "password", "Password", "passwd", "secret", "app_secret", "appSecret", "client-secret", "webhook_secret",
    "hmac_secret",
    "private_key", "privateKey", "api_key", "api_v3_key", "apiV3Key", "X-Api-Key", "access_token", "refresh_token",
    "token", "Authorization", "Cookie", "Set-Cookie", "sessionid", "csrfmiddlewaretoken", "cvn2", "cvv", "otp",
]  # fmt: skip
PERSONAL_KEYS = [
    "phone", "mobile", "phoneNo", "email", "id_card", "idCardNo", "cert_no", "accNo", "card_number", "real_name",
    "openid", "sub_openid", "buyer_id", "buyer_logon_id", "buyer_open_id", "customerInfo",
]  # fmt: skip
# A secret that occurs nowhere by chance.
secrets_ = st.text(
    alphabet=string.ascii_letters + string.digits + "+/=_-. ~!@#$%^&*()'\"<>{}[]\\:;,|?密钥", min_size=6, max_size=60
).map(lambda tail: "Zq7" + tail + "9xK")
keys_ = st.sampled_from(SECRET_KEYS)
plain = st.dictionaries(
    st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=8).filter(
        lambda k: k not in ("pin", "otp", "pass", "pwd")
    ),
    st.one_of(
        st.integers(), st.text(max_size=20), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
    ),
    max_size=4,
)
MANY = settings(max_examples=150, deadline=None)


def leaks(secret: str, masked: str) -> bool:
    """The core of it in any of its spellings."""
    spellings = {
        secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe=""),
        quote_plus(secret), escape(secret), json.dumps(json.dumps(secret))[2:-2],
    }  # fmt: skip
    return any(one in masked for one in spellings)


def place(tree: dict[str, object], key: str, value: object, path: list[str]) -> dict[str, object]:
    node: dict[str, object] = {**tree, key: value}
    for index, name in enumerate(reversed(path)):
        node = {name: [node, index]} if index % 2 else {name: node}
    return node


class TestPlanted:
    @MANY
    @given(keys_, secrets_, plain, st.lists(st.sampled_from(["a", "data", "资源"]), max_size=4), st.booleans())
    def test_in_json(self, key: str, secret: str, rest: dict[str, object], path: list[str], ascii_only: bool) -> None:
        text = json.dumps(place(rest, key, secret, path), ensure_ascii=ascii_only)
        masked = mask_text(text)
        assert not leaks(secret, masked)
        assert json.loads(masked)  # still JSON
        assert not leaks(secret, mask_text(text.encode()))

    @MANY
    @given(keys_, secrets_, plain)
    def test_in_json_inside_a_json_string(self, key: str, secret: str, rest: dict[str, object]) -> None:
        inner = json.dumps({**rest, key: secret})
        assert not leaks(secret, mask_text(json.dumps({"biz_content": inner, "sign": "x"})))

    @MANY
    @given(keys_, st.lists(secrets_, min_size=1, max_size=3), plain)
    def test_in_lists_and_objects_under_the_key(self, key: str, found: list[str], rest: dict[str, object]) -> None:
        masked = mask_text(json.dumps({key: {"value": found}, "x": {key: found}, **rest}))
        assert not any(leaks(one, masked) for one in found)

    @MANY
    @given(keys_, secrets_, plain, st.data())
    def test_in_json_that_was_cut(self, key: str, secret: str, rest: dict[str, object], data: st.DataObject) -> None:
        text = json.dumps({**rest, key: secret, "after": "y"})
        at = text.index(json.dumps(key)) + len(json.dumps(key))
        cut = text[: data.draw(st.integers(at + len(json.dumps(secret)), len(text)))]
        assert not leaks(secret, mask_text(cut))
        assert "Zq7" not in mask_text(text[: at + 2 + len(json.dumps(secret)) // 2])  # in the middle of the secret

    @MANY
    @given(keys_, secrets_, st.booleans())
    def test_in_forms_and_queries(self, key: str, secret: str, first: bool) -> None:
        items = [(key, secret), ("amount", "100"), ("subject", "物业 费"), ("return_url", "https://a.example/?x=1")]
        form = urlencode(items if first else items[::-1])
        assert not leaks(secret, mask_text(form))
        assert not leaks(secret, mask_text(form.encode()))
        assert not leaks(secret, mask_url(f"https://a.example/cb?{form}"))
        assert not leaks(secret, mask_text(f"GET /v1/x?{form} HTTP/1.1"))
        assert "amount=100" in mask_text(form)

    @MANY
    @given(keys_, secrets_)
    def test_in_a_form_inside_a_form(self, key: str, secret: str) -> None:
        inner = json.dumps({key: secret, "total_amount": "0.01"})
        assert not leaks(secret, mask_text(urlencode({"app_id": "1", "biz_content": inner})))
        url = "https://a.example/cb?" + urlencode({key: secret})
        assert not leaks(secret, mask_text(urlencode({"return_url": url, "x": "1"})))

    @MANY
    @given(keys_, secrets_)
    def test_in_headers(self, key: str, secret: str) -> None:
        masked = mask_mapping({key: secret, "Content-Type": "application/json"})
        assert not leaks(secret, json.dumps(masked, ensure_ascii=False))
        assert masked["Content-Type"] == "application/json"

    @MANY
    @given(
        keys_, st.text(alphabet=string.ascii_letters + string.digits + "+/=_-.", min_size=8).map(lambda t: f"Zq7{t}9xK")
    )
    def test_in_header_lines_log_lines_and_python_text(self, key: str, secret: str) -> None:
        for text in (
            f"POST /x HTTP/1.1\r\nHost: a\r\n{key}: {secret}\r\n\r\n", f"failed for {key}={secret}, giving up",
            f"{{'{key}': '{secret}', 'amount': 1}}", f"{key} = '{secret}'", f'{key}="{secret}" x',
            f"oops {{\"{key}\": \"{secret}\"}} oops",
        ):  # fmt: skip
            assert not leaks(secret, mask_text(text)), text

    @MANY
    @given(keys_.filter(str.isidentifier), secrets_, st.booleans())
    def test_in_xml(self, key: str, secret: str, cdata: bool) -> None:
        value = f"<![CDATA[{secret}]]>" if cdata and "]]>" not in secret else escape(secret)
        masked = mask_text(f"<xml><amount>100</amount><{key}>{value}</{key}><trade_type>NATIVE</trade_type></xml>")
        assert not leaks(secret, masked)
        assert "<amount>100</amount>" in masked
        assert "NATIVE" in masked

    @MANY
    @given(st.sampled_from(["x9", "sessionCode", "encryptedField"]), secrets_)
    def test_under_a_name_the_provider_declares(self, key: str, secret: str) -> None:
        for text in (json.dumps({"a": {key: secret}}), urlencode({key: secret, "b": "1"})):
            assert not leaks(secret, mask_text(text, keys=[key]))

    @MANY
    @given(st.sampled_from(PERSONAL_KEYS), st.from_regex(r"[0-9A-Za-z]{11,28}", fullmatch=True))
    def test_personal_data_keeps_its_ends_only(self, key: str, value: str) -> None:
        for text in (json.dumps({key: value}), urlencode({key: value, "b": "1"}), f"<a><{key}>{value}</{key}></a>"):
            masked = mask_text(text)
            assert value not in masked, text
            assert value[2:-4] not in masked or len(value[2:-4]) < 3 or value[2:-4] in text.replace(value, "")

    def test_a_number_under_a_personal_key(self) -> None:
        assert "13812345678" not in mask_text('{"phone": 13812345678}')
        assert "123456" not in mask_text('{"password": 123456}')

    def test_a_name_given_twice(self) -> None:
        masked = mask_text('{"password":"first-one","password":"second-one"}')
        assert "first-one" not in masked
        assert "second-one" not in masked


class TestPatterns:
    @pytest.fixture
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @pytest.mark.parametrize(
        "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
    )
    def test_private_keys(self, key: rsa.RSAPrivateKey, form: serialization.PrivateFormat) -> None:
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        body = "".join(pem.splitlines()[1:-1])
        for text in (
            pem, f"ValueError: bad key {pem} here", json.dumps({"x": pem}), json.dumps({"x": body}), f"x={body}&y=1",
            urlencode({"x": pem, "y": "1"}), f"bare {body} in text", pem[: len(pem) // 2], repr({"x": pem}),
        ):  # fmt: skip
            masked = mask_text(text)
            for start in (64, 300, 600):
                assert body[start : start + 40] not in masked
                assert quote_plus(body[start : start + 40]) not in masked

    def test_a_private_key_of_letters_only(self) -> None:
        assert mask_text(f"MIIEowIBA{'A' * 60}") == "[private key]"
        assert mask_text("MIIEow") == "MIIEow"

    def test_public_keys_and_certificates_stay(self, key: rsa.RSAPrivateKey) -> None:
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert mask_text(public) == public.decode()

    @pytest.mark.parametrize(
        "text",
        ["call 13812345678 now", '{"note":"13812345678"}', "note=13812345678", "+8613812345678", "tel:13812345678",
        "联系13812345678。",
         "a=1&note=%2B8613812345678", "86-13812345678"],
    )  # fmt: skip
    def test_phones_keep_their_tail(self, text: str) -> None:
        masked = mask_text(text)
        assert "1381234" not in masked
        assert "5678" in masked

    def test_identity_numbers(self) -> None:
        assert "11010519491231002" not in mask_text("id 11010519491231002X")
        assert mask_text("no 110105194912310021") == "no 110105194912310021"  # its check digit is wrong

    @pytest.mark.parametrize(
        "card",
        ["4111111111111111", "6222021234567890128", "5555555555554444", "4111 1111 1111 1111", "4111-1111-1111-1111"],
    )
    def test_bank_cards(self, card: str) -> None:
        digits = card.replace(" ", "").replace("-", "")
        masked = mask_text(f"card {card} declined")
        assert card not in masked
        assert digits not in masked
        assert digits[-4:] in masked

    def test_e_mail_keeps_its_domain(self) -> None:
        assert mask_text("write to lin.wei@example.com.") == "write to l***@example.com."

    def test_user_names_in_addresses(self) -> None:
        assert "pw1" not in mask_url("https://user:pw1@a.example/x?y=1")
        assert "pw1" not in mask_text("redis://:pw1@host:6379/0 refused")

    def test_webhook_secrets_and_bearers(self) -> None:
        secret = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
        assert "MDEy" not in mask_text(f"oops {secret} oops")
        assert "abcdef123456" not in mask_text("sent Bearer abcdef123456")
        assert "bWVyY2hhbnQ" not in mask_text("sent Basic bWVyY2hhbnQuTTE6c2VjcmV0")

    def test_the_scheme_of_an_authorization_stays(self) -> None:
        masked = mask_mapping({"Authorization": 'WECHATPAY2-SHA256-RSA2048 mchid="1",signature="abcd"'})
        assert masked["Authorization"] == f"WECHATPAY2-SHA256-RSA2048 {HIDDEN}"


class TestKept:
    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from(list(NumberKind)))
    def test_our_numbers(self, kind: NumberKind) -> None:
        number = new_number(kind)
        for text in (
            number,
            f"trade {number} paid",
            json.dumps({"trade_no": number}),
            f"trade_no={number}&a=1",
            f"<a>{number}</a>",
        ):
            assert mask_text(text) == text

    @settings(max_examples=300, deadline=None)
    @given(
        st.integers(1, 10**11),
        st.sampled_from(["amount", "total_amount", "totalFee", "txnAmt", "fee", "refund_amount"]),
    )
    def test_amounts(self, amount: int, key: str) -> None:
        for text in (
            json.dumps({key: amount}), json.dumps({key: str(amount)}), f"{key}={amount}&a=1",
            f"<x><{key}>{amount}</{key}></x>",
            json.dumps({"amount": {"total": amount, "payer_total": amount}}),
            json.dumps({key: f"{amount // 100}.{amount % 100:02d}"}),
        ):  # fmt: skip
            assert mask_text(text) == text

    @pytest.mark.parametrize("amount", [13800000000, 13912345678, 19999999999])
    def test_amounts_that_look_like_phones(self, amount: int) -> None:
        for text in (f'{{"amount":{amount}}}', f"total_amount={amount}&x=1", f"<total_fee>{amount}</total_fee>"):
            assert mask_text(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "4200001234202611211234567890", "2026112122001412345678901234", "2088102146225135", "1763695693",
            "1763695693123",
            "2026-11-21T03:28:13+08:00", "20261121033418",
            '{"code":"SUCCESS","mchid":"1900000109","out_trade_no":"A20261121"}',
            "app_id=2021000000000001&method=alipay.trade.query&sign_type=RSA2&charset=utf-8",
            "c8a3b0b1-4b6f-4a1e-9d0a-2f5a0d6f1c11", "物业费 2026年11月", '{"a":1.50,"b":[1,2.0,"x"],"c":null}', "",
        ],
    )  # fmt: skip
    def test_ordinary_text_stays_as_written(self, text: str) -> None:
        assert mask_text(text) == text

    def test_numbers_keep_their_spelling_beside_a_masked_value(self) -> None:
        assert json.loads(mask_text('{"amount":10.00,"password":"x"}')) == {"amount": 10.0, "password": HIDDEN}
        assert "10.00" in mask_text('{"amount":10.00,"password":"x"}')

    def test_time_stamps_in_milliseconds(self) -> None:
        start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
        assert all(mask_text(str(start + step)) == str(start + step) for step in range(0, 100_000, 7))


class TestBounds:
    def test_long_text_is_cut_with_a_mark(self) -> None:
        masked = mask_text("x" * 100_000)
        assert len(masked) == MAX_CHARS
        assert masked.endswith(ELLIPSIS)

    def test_a_secret_across_the_cut_does_not_survive(self) -> None:
        for padding in range(MAX_CHARS - 60, MAX_CHARS + 10, 7):
            text = json.dumps({"pad": "x" * padding, "password": "Zq7-secret-value-9xK", "more": "y" * 70_000})
            assert "Zq7" not in mask_text(text)

    def test_nul_is_dropped(self) -> None:
        assert mask_text("a\x00b") == "ab"
        assert "\x00" not in mask_url("/a\x00?b=\x00c")

    @settings(max_examples=300, deadline=2000)
    @given(st.text(max_size=3000))
    def test_any_text_is_survived(self, text: str) -> None:
        assert len(mask_text(text)) <= MAX_CHARS
        mask_url(text)

    @given(st.binary(max_size=500))
    def test_any_bytes_are_survived(self, data: bytes) -> None:
        mask_text(data)

    @pytest.mark.parametrize(
        "text",
        ["{" * 60_000, "[" * 60_000, '"' * 60_000, "\\" * 60_000, "<a>" * 20_000, "=" * 60_000, "a=" * 30_000,
        "&" * 60_000, "?a=b" * 15_000,
         "a:" * 30_000, '"a":' * 15_000, '\\"a\\":\\"' * 8_000, "1" * 60_000, "a@" * 30_000, "a." * 30_000,
         "://" * 20_000,
         "-----BEGIN PRIVATE KEY-----" * 2_000, "MIIEvQIBA" * 6_000, "a-" * 30_000, "x" * 60_000, " " * 60_000,
         "4111 " * 12_000, "'" * 60_000,
         "a b:" * 15_000, "<a" * 30_000, "secret" * 10_000, "\n:" * 30_000],
    )  # fmt: skip
    def test_hostile_text_takes_no_long_time(self, text: str) -> None:
        started = time.process_time()
        mask_text(text)
        mask_url("/x?" + text)
        assert time.process_time() - started < 2.0

    def test_deep_nesting_hides_rather_than_fails(self) -> None:
        tree: object = {"password": "Zq7deep9xK"}
        for _ in range(300):
            tree = {"a": tree}
        assert "Zq7deep9xK" not in mask_text(json.dumps(tree))


@pytest.mark.parametrize("text", ["failed: password={}", "a=b=secret={}", "x: y: token: {}", "why:api_key={}"])
def test_a_pair_that_stands_where_a_value_would(text: str) -> None:
    assert "Zq7hidden" not in mask_text(text.format("Zq7hidden"))
    assert mask_text(f"x {'a:' * 5000}b").startswith("x a:a:")
