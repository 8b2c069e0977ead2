"""The parsers of every channel that discovery finds: nobody writes a target for a new one."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from channels.base import (
    BillKind,
    BillRowKind,
    ContractWord,
    FieldKind,
    InboundRequest,
    NoticeKind,
    PaymentState,
    Provider,
    RefundState,
    keys,
)
from channels.base.config import clean_config
from channels.base.discovery import method_for, provider_for
from channels.base.reading import Unreadable
from channels.base.storable import storable
from paycenter.errors import (
    BadSignature,
    BillNotReady,
    BillRefused,
    ChannelConfigInvalid,
    ChannelError,
    InboundRefused,
    NotSent,
    UnknownOutcome,
)
from tests.fuzz.believing import believing, unsealed
from tests.fuzz.oracle import Broken, require_storable
from tests.fuzz.samples import Asked, Replay, Sampled
from tests.fuzz.target import Target
from tests.fuzz.wire import pack_answer, pack_request, unpack_answer, unpack_request

_DECISIVE = {PaymentState.PAID, RefundState.SUCCEEDED, ContractWord.ACTIVE, ContractWord.TERMINATED}
_ANSWERS: dict[str, tuple[type[ChannelError], ...]] = {
    "payer_from_code": (NotSent, UnknownOutcome, BadSignature),
    "fetch_bill": (NotSent, UnknownOutcome, BillNotReady, BillRefused),
    "refresh_certificates": (NotSent, UnknownOutcome, ChannelConfigInvalid),
    "check": (),
}
_UPLOADED = (FieldKind.PRIVATE_KEY, FieldKind.PUBLIC_KEY, FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN)
# Their answers carry no signature at all: the connection alone vouches for them.
_TLS_ALONE = frozenset({"mpgs"})
_MOST_ROWS = 100_000


def channel_targets(sampled: Sampled) -> dict[str, Callable[[], Target]]:
    """What makes each target of one contract, by the target's name."""
    account = Account(sampled)
    made = {
        "notice": account.notices, "notice-believed": account.notices_believed, "return": account.returns,
        "answer": account.answers, "answer-believed": account.answers_believed, "account": account.parameters,
    }  # fmt: skip
    if sampled.contract_notices:
        made |= {"contract-notice": account.contract_notices,
                 "contract-notice-believed": account.contract_notices_believed}  # fmt: skip
    if sampled.bills:
        made["bill"] = account.bill_files
    return {f"{sampled.name}.{what}": make for what, make in made.items()}


@dataclass
class Account:
    """One contract's provider, with a clock that stands still and a channel that says what it is told to say."""

    sampled: Sampled
    replay: Replay = field(default_factory=Replay)

    @cached_property
    def provider(self) -> Provider:
        return self._new()

    def _new(self) -> Provider:
        kind = provider_for(self.sampled.channel)
        return kind(self.sampled.config, http=self.replay, clock=lambda: self.now)  # type: ignore[arg-type]

    @cached_property
    def now(self) -> datetime:
        return self.sampled.asked[-1].now if self.sampled.asked else self.sampled.now

    def _name(self, what: str) -> str:
        return f"{self.sampled.name}.{what}"

    # ---- notifications
    def notices(self) -> Target:
        seeds = tuple(pack_request(n) for n in self.sampled.notices)
        genuine = [n for seed in seeds if (n := self._understood(seed)) is not None]

        def run(data: bytes) -> str:
            self.now = self.sampled.notices_at
            found = self._notice(data)
            if isinstance(found, str):
                return found
            if found.kind is not NoticeKind.HINT and found not in genuine:
                raise Broken(f"believed, though nobody signed it: {found}")
            return f"understood {found.kind}"

        return Target(self._name("notice"), seeds, run)

    def notices_believed(self) -> Target:
        seeds = [pack_request(n) for n in self.sampled.notices]
        self.now = self.sampled.notices_at
        with believing():
            opened = tuple(unsealed(seed, self._notice) for seed in seeds)

        def run(data: bytes) -> str:
            self.now = self.sampled.notices_at
            found = self._notice(data)
            return found if isinstance(found, str) else f"understood {found.kind} {found.state}"

        return Target(self._name("notice-believed"), opened, run, believing)

    def _understood(self, seed: bytes) -> Any:
        self.now = self.sampled.notices_at
        found = self._notice(seed)
        return None if isinstance(found, str) else found

    def _notice(self, data: bytes) -> Any:
        try:
            found = storable(self.provider.parse_notify(unpack_request(data)))
        except InboundRefused as exc:
            return f"{type(exc).__name__} {exc}"
        require_storable(found)
        self.provider.ack(found)
        return found

    def contract_notices(self) -> Target:
        seeds = tuple(pack_request(notice) for _scene, notice in self.sampled.contract_notices)
        genuine = [found for seed in seeds if not isinstance(found := self._contract_notice(seed), str)]

        def run(data: bytes) -> str:
            found = self._contract_notice(data)
            if not isinstance(found, str) and found not in genuine:
                raise Broken(f"believed, though nobody signed it: {found}")
            return found if isinstance(found, str) else f"understood {found.state}"

        return Target(self._name("contract-notice"), seeds, run)

    def contract_notices_believed(self) -> Target:
        def run(data: bytes) -> str:
            found = self._contract_notice(data)
            return found if isinstance(found, str) else f"understood {found.state}"

        with believing():
            opened = tuple(unsealed(pack_request(notice), run) for _scene, notice in self.sampled.contract_notices)
        return Target(self._name("contract-notice-believed"), opened, run, believing)

    def _contract_notice(self, data: bytes) -> Any:
        self.now = self.sampled.notices_at
        scene: Any = method_for(self.sampled.contract_notices[0][0])
        try:
            found = storable(scene.parse_contract_notify(self.provider, unpack_request(data)))
        except InboundRefused as exc:
            return f"{type(exc).__name__} {exc}"
        require_storable(found)
        return found

    def returns(self) -> Target:
        """What channels send the browser with is signed like a notification, in the query or posted."""
        posted = [n for n in self.sampled.notices if n.body]
        forms = [n for n in posted if b"\n" not in n.body]
        got = [replace(n, method="GET", query=n.body.decode("latin-1"), body=b"") for n in forms]
        seeds = tuple(pack_request(r) for r in (*got, *posted))
        genuine = {self._returned(unpack_request(seed)) for seed in seeds}

        def run(data: bytes) -> str:
            found = self._returned(unpack_request(data))
            if isinstance(found, tuple) and found[0] and found not in genuine:
                raise Broken(f"a return that nobody signed is verified: {found}")
            return found if isinstance(found, str) else f"understood {found[0]}"

        return Target(self._name("return"), seeds, run)

    def _returned(self, request: InboundRequest) -> Any:
        self.now = self.sampled.notices_at
        try:
            found = self.provider.parse_return(request, self.sampled.order)
        except InboundRefused as exc:
            return f"{type(exc).__name__} {exc}"
        return found.verified, found.order_no

    # ---- answers
    def answers(self) -> Target:
        genuine = [result for asked in self.sampled.asked if not isinstance(result := self._ask(asked), str)]
        signed = self.sampled.channel not in _TLS_ALONE

        def run(data: bytes) -> str:
            result = self._ask(self._spoiled(data))
            if isinstance(result, str):
                return result
            if signed and getattr(result, "state", None) in _DECISIVE and result not in genuine:
                raise Broken(f"believed, though the channel did not sign it: {result}")
            return f"understood {type(result).__name__} {getattr(result, 'state', '')}"

        return Target(self._name("answer"), self._answer_seeds(), run)

    def answers_believed(self) -> Target:
        def run(data: bytes) -> str:
            result = self._ask(self._spoiled(data))
            return result if isinstance(result, str) else f"understood {type(result).__name__}"

        with believing():
            seeds = tuple(unsealed(seed, run) for seed in self._answer_seeds())
        return Target(self._name("answer-believed"), seeds, run, believing)

    def _answer_seeds(self) -> tuple[bytes, ...]:
        return tuple(pack_answer(at, answer) for at, (_asked, _turn, answer) in enumerate(self._said()))

    def _said(self) -> list[tuple[Asked, int, Any]]:
        return [(asked, turn, a) for asked in self.sampled.asked for turn, a in enumerate(asked.answers)]

    def _spoiled(self, data: bytes) -> Asked:
        """The question whose answer the message stands for, with that answer in its place."""
        chosen, answer = unpack_answer(data)
        said = self._said()
        asked, turn, _genuine = said[chosen % len(said)]
        return replace(asked, answers=(*asked.answers[:turn], answer, *asked.answers[turn + 1 :]))

    def _ask(self, asked: Asked) -> Any:
        """The result, or how it was refused."""
        self.now = asked.now
        self.replay.load(asked.answers)
        try:
            result = storable(asked.put(self._new()))
        except Unreadable:
            return "cannot be kept"
        except _ANSWERS.get(asked.name, (NotSent, UnknownOutcome)) as exc:
            return f"{type(exc).__name__} {exc}"
        require_storable(result)
        return result

    # ---- files
    def bill_files(self) -> Target:
        bills, folder = self.sampled.bills, os.environ.get("PAYCENTER_VECTORS", "")
        recorded = sorted(Path(folder).glob(f"bills/{self.sampled.channel}_*")) if folder else []
        extra = [path.read_bytes() for path in recorded]

        def run(data: bytes) -> str:
            kind, day, _genuine = bills[data[0] % len(bills)] if data else bills[0]
            return self._read_bill(kind, day, data[1:])

        seeds = [bytes([at]) + content for at, (_kind, _day, content) in enumerate(bills)]
        return Target(self._name("bill"), (*seeds, *(b"\0" + content for content in extra)), run)

    def _read_bill(self, kind: BillKind, day: date, content: bytes) -> str:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            count = 0
            try:
                for row in self.provider.read_bill(Path(file.name), day, kind):
                    require_storable(row, "row")
                    if row.kind in (BillRowKind.PAYMENT, BillRowKind.REFUND) and row.amount.minor <= 0:
                        raise Broken(f"a {row.kind} of {row.amount}")
                    count += 1
            except BillRefused as exc:
                return f"BillRefused {exc.reason}"
        if count > _MOST_ROWS:
            raise Broken(f"{count} rows out of {len(content)} bytes")
        return "read"

    # ---- what a merchant types and uploads
    def parameters(self) -> Target:
        """One line per field: its name, and what is typed; the body is what is uploaded for the last of them."""
        kind, config = provider_for(self.sampled.channel), dict(self.sampled.config)
        names = [f.name for f in kind.fields if f.name in config]
        wanted = {f.name for f in kind.fields if f.kind in _UPLOADED}

        def run(data: bytes) -> str:
            name, raw = names[data[0] % len(names)] if data else names[0], data[1:]
            given: str | bytes = raw if name in wanted and data[:1] >= b"\x80" else raw.decode("utf-8", "replace")
            try:
                cleaned = clean_config(kind, {**config, name: given}, self.now)
            except ChannelConfigInvalid as exc:
                require_storable({key: [r.en for r in reasons] for key, reasons in exc.problems.items()})
                return f"refused {sorted(exc.problems)}"
            require_storable(cleaned)
            kind(cleaned, http=self.replay, clock=lambda: self.now)  # type: ignore[arg-type]
            return f"taken {name}"

        seeds = []
        for at, name in enumerate(names):
            value = config[name]
            seeds.append(bytes([at]) + str(value).encode())
            if name in wanted:
                uploaded = at + len(names) * -(-(128 - at) // len(names))
                seeds += [bytes([uploaded]) + content for content in _files(str(value))]
        return Target(self._name("account"), tuple(seeds), run, lambda: _parsed_once(config.values()))


@contextmanager
def _parsed_once(values: Iterable[Any]) -> Iterator[None]:
    """Without the tenth of a second that checking the account's own private key takes, each time."""
    known, parse = {str(value).strip() for value in values}, keys.parse_private_key
    once = cache(parse)
    with mock.patch.object(keys, "parse_private_key", lambda data: (once if data in known else parse)(data)):
        yield


def _files(pem: str) -> list[bytes]:
    """As it may be uploaded: PEM, and its first block in DER."""
    found = re.search(r"-----BEGIN [A-Z ]+-----(.*?)-----END", pem, re.DOTALL)
    return [pem.encode(), *([base64.b64decode(re.sub(r"\s", "", found[1]))] if found else [])]
