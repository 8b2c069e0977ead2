"""What the application page shows: steps with their boxes, what is missing, comments, progress. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from merchants.models import Merchant, User
from merchants.states import MerchantState
from onboarding import facts
from onboarding.admin.accounts import AccountCard, account_cards, channel_choices
from onboarding.errors import StaleStep
from onboarding.facts import Missing
from onboarding.models import Application, ApplicationDocument, ApplicationVersion, Outcome
from onboarding.steps import STEPS, DocumentKind, Fact, Step
from onboarding.versions import SUBMIT, submit_mark
from paycenter.staff.tenancy import tenant_of
from paycenter.staff.words import actor_word


@dataclass(frozen=True, slots=True)
class Failed:
    """What a person sent and was not stored: it stays in the boxes, with the reasons. `place` is the step's code,
    `doc-<kind>`, or an account's place."""

    place: str
    problems: Mapping[str, list[str]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    stale: StaleStep | None = None
    form: Any = None


@dataclass(frozen=True, slots=True)
class Box:
    """One fact on the page. `kept` is what is stored of a sensitive one, masked; `text` what is stored as people
    read it; `meanwhile` what somebody else stored."""

    fact: Fact
    id: str
    value: Any
    errors: list[str]
    kept: str
    missing: bool
    meanwhile: str
    text: str


@dataclass(frozen=True, slots=True)
class DocumentCard:
    kind: DocumentKind
    wanted: bool
    document: ApplicationDocument | None
    mark: str
    errors: list[str]


@dataclass(slots=True)
class StepCard:
    """A step as it stands. `tone` is good, warn, bad or empty."""

    step: Step
    status: str = ""
    tone: str = ""
    missing: list[Missing] = field(default_factory=list)
    comment: str = ""
    saved: str = ""
    mark: str = ""
    open: bool = False
    problem: str = ""
    boxes: list[Box] = field(default_factory=list)
    documents: list[DocumentCard] = field(default_factory=list)
    accounts: list[AccountCard] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """Everything of the page; `editable` while the merchant is a draft and the reader may fill in."""

    application: Application
    merchant: Merchant
    cards: list[StepCard]
    missing: list[Missing]
    editable: bool
    may_submit: bool
    version: ApplicationVersion | None
    submit_mark: str
    channels: list[tuple[str, str, list[str]]]

    @property
    def done(self) -> int:
        return sum(not card.missing for card in self.cards[:-1])

    @property
    def total(self) -> int:
        return len(self.cards) - 1

    @property
    def returned(self) -> bool:
        return bool(self.editable and self.version and self.version.outcome == Outcome.RETURNED)


def page_of(application: Application, user: Any, *, may_fill: bool, failed: Failed | None, at: str) -> Page:
    """The page for this reader. `at` is the step to open; without it the first that is not complete."""
    merchant = application.merchant
    editable = may_fill and merchant.state == MerchantState.DRAFT
    missing = facts.application_missing(application, merchant)
    version = application.versions.select_related("submitted_by").first()
    comments = version.comments if version and version.outcome == Outcome.RETURNED and editable else {}
    cards = [_card(application, step, [m for m in missing if m.step == step.code], comments) for step in STEPS]
    values = facts.all_values(application, merchant)
    names = _Names(user, merchant)
    for card in cards:
        _fill_card(card, application, values, failed, names)
    _open_one(cards, failed, at)
    return Page(
        application, merchant, cards, missing, editable, user.has_perm(SUBMIT), version,
        submit_mark(application, merchant) if editable and not missing else "", channel_choices(),
    )  # fmt: skip


class _Names:
    """Who stored something, as this reader may know it: their own colleagues by name, ours only to us."""

    def __init__(self, user: Any, merchant: Merchant) -> None:
        self._ours = tenant_of(user) is None
        self._colleagues = set(User.objects.filter(merchant=merchant).values_list("username", flat=True))

    def told(self, save: Mapping[str, Any]) -> str:
        """`Wang, 26 November 14:30`; empty where nothing was stored."""
        if not save:
            return ""
        name = str(save["by"]).removeprefix("staff:")
        who = name if name in self._colleagues else actor_word(str(save["by"]), with_staff=self._ours)
        at = parse_datetime(str(save["at"]))
        return f"{who}, {timezone.localtime(at):%Y-%m-%d %H:%M}" if at else who


def _card(application: Application, step: Step, missing: list[Missing], comments: Mapping[str, str]) -> StepCard:
    card = StepCard(step, missing=missing, comment=comments.get(step.code, ""))
    if step.code == STEPS[-1].code:
        return card
    if card.comment:
        card.status, card.tone = _("Commented"), "bad"
    elif missing:
        card.status = ngettext("%(count)d thing missing", "%(count)d things missing", len(missing)) % {
            "count": len(missing)
        }
        card.tone = "warn" if _was_touched(application, step) else ""
    else:
        card.status, card.tone = _("Complete"), "good"
    return card


def _was_touched(application: Application, step: Step) -> bool:
    prefixes = {"documents": "doc-", "accounts": ("account-", "draft-")}
    return any(place.startswith(prefixes.get(step.code, step.code)) for place in application.saves)


def _fill_card(
    card: StepCard, application: Application, values: Mapping[str, Mapping[str, Any]], failed: Failed | None,
    names: _Names,
) -> None:  # fmt: skip
    code = card.step.code
    if card.step.facts:
        present = values[code]
        mine = failed if failed and failed.place == code else None
        card.mark, card.saved = facts.seen(present), names.told(application.saves.get(code, {}))
        touched = code in application.saves
        card.boxes = [_box(code, fact, present[fact.name], mine, touched) for fact in card.step.facts]
        card.problem = stale_words(mine, names)
    elif code == "documents":
        mine = failed if failed and failed.place.startswith("doc-") else None
        card.documents = _documents(application, values, mine)
        card.problem = stale_words(mine, names)
    elif code == "accounts":
        card.accounts = account_cards(application, failed, timezone.now())
        card.problem = stale_words(failed if failed and any(a.failed for a in card.accounts) else None, names)


def stale_words(failed: Failed | None, names: _Names) -> str:
    """What to do where somebody else was quicker; empty where nobody was."""
    if failed is None or failed.stale is None:
        return ""
    who = names.told(failed.stale.save) or _("Somebody else")
    return _("%(who)s stored this part while you had it open. Nothing of yours is lost: your entries are still "
             "below. Compare them, and save again to put yours in place.") % {"who": who}  # fmt: skip


def _box(code: str, fact: Fact, present: Any, failed: Failed | None, touched: bool) -> Box:
    value = "" if fact.sensitive else present
    meanwhile = ""
    if failed is not None:
        value = failed.values.get(fact.name, [] if fact.many else "")
        if failed.stale is not None and value != present and not (fact.sensitive and not value):
            meanwhile = facts.shown(fact, present) or _("empty")
    return Box(
        fact, f"id_{code}-{fact.name}", value, (failed.problems.get(fact.name, []) if failed else []),
        facts.masked(present) if fact.sensitive and present else "",
        touched and fact.required and not present and not value, meanwhile,
        facts.shown(fact, present),
    )  # fmt: skip


def _documents(
    application: Application, values: Mapping[str, Mapping[str, Any]], failed: Failed | None
) -> list[DocumentCard]:
    present = facts.documents_of(application)
    return [
        DocumentCard(
            kind, wanted, present.get(kind.code), str(present[kind.code].pk) if kind.code in present else "",
            failed.problems.get("file", []) if failed and failed.place == f"doc-{kind.code}" else [],
        )
        for kind, wanted in facts.wanted_documents(values)
    ]  # fmt: skip


def _open_one(cards: list[StepCard], failed: Failed | None, at: str) -> None:
    """The step that failed, the one asked for, those with comments, or else the first that is not complete."""
    if failed is not None:
        wanted = {_step_of(failed.place)}
    elif any(card.step.code == at for card in cards):
        wanted = {at}
    else:
        commented = {card.step.code for card in cards if card.comment}
        wanted = commented or {next((card.step.code for card in cards if card.missing), cards[-1].step.code)}
    for card in cards:
        card.open = card.step.code in wanted


def _step_of(place: str) -> str:
    head = place.partition("-")[0]
    return {"doc": "documents", "account": "accounts", "draft": "accounts"}.get(head, place)


def next_step(application: Application, after: str) -> str:
    """The first step from `after` on that is not complete; `after` itself where something is missing in it."""
    missing = {m.step for m in facts.application_missing(application, application.merchant)}
    codes = [step.code for step in STEPS]
    order = codes[codes.index(after) :] + codes[: codes.index(after)]
    return next((code for code in order if code in missing), codes[-1])


def told_at(moment: datetime | None) -> str:
    """A moment as the page writes it."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else ""
