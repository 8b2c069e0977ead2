"""The payment accounts on the application page: guided form, state, connection check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from channels.base.discovery import methods_of, providers
from channels.base.guides import GuideStep, OurValue
from merchants.forms import AccountForm, Row, say
from merchants.models import PaymentAccount
from onboarding import facts
from onboarding.accounts import place_of, present_of
from onboarding.connections import Progress, progress_of
from onboarding.models import AccountDraft, Application


@dataclass(frozen=True, slots=True)
class Guided:
    """A step of the channel's guide as the page draws it. `copies` are (box there, our value)."""

    number: int
    title: str
    text: str
    link: str
    copies: list[tuple[str, str]]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class AccountCard:
    """One account or draft. `account` is None for what is not complete enough to be one."""

    place: str
    channel: str
    channel_name: str
    name: str
    account: PaymentAccount | None
    form: AccountForm | None
    steps: list[Guided]
    rest: list[Row]
    mark: str
    problems: int
    progress: Progress | None
    failed: bool

    @property
    def complete(self) -> bool:
        return self.account is not None and not self.problems

    @property
    def tone(self) -> str:
        if not self.complete or self.progress is None:
            return "warn"
        return {"good": "good", "bad": "bad"}.get(self.progress.state, "info")

    @property
    def status(self) -> str:
        if not self.complete or self.progress is None:
            return _("not complete")
        words = {"good": _("connected"), "bad": _("connection fails"), "none": _("not checked")}
        return words.get(self.progress.state, _("being checked"))


def our_values() -> Mapping[OurValue, str]:
    """What merchants copy from us into a channel's console."""
    site = settings.PUBLIC_BASE_URL
    return {
        OurValue.SITE: site, OurValue.HOST: urlsplit(site).netloc, OurValue.CASHIER: f"{site}/c/",
        OurValue.NOTIFY: f"{site}/notify/",
    }  # fmt: skip


def account_form(target: AccountDraft | PaymentAccount, data: Any = None, files: Any = None) -> AccountForm | None:
    """The form of an account or draft; None where the channel's folder is gone."""
    provider = providers().get(target.channel)
    if provider is None:
        return None
    present = present_of(target)
    return AccountForm(
        data, files, provider=provider, stored=present["config"], auto_id=f"id_{place_of(target)}-%s",
        initial={"name": present["name"], "methods": present["methods"]},
    )  # fmt: skip


def account_cards(application: Application, failed: Any, now: datetime) -> list[AccountCard]:
    """Every account of the application, and every draft of one, in the order they were begun."""
    drafts = {d.account_id: d for d in application.drafts.all() if d.account_id is not None}
    accounts = facts.accounts_of(application.merchant)
    cards = [_card(account, drafts.get(account.pk), failed, now) for account in accounts]
    begun = [d for d in application.drafts.all() if d.account_id is None]
    return cards + [_card(None, draft, failed, now) for draft in begun]


def _card(
    account: PaymentAccount | None, draft: AccountDraft | None, failed: Any, now: datetime
) -> AccountCard:
    target = draft or account
    assert target is not None  # noqa: S101 - one of the two is given
    place = place_of(target)
    mine = failed if failed and failed.place == place else None
    form = mine.form if mine and mine.form is not None else account_form(target)
    problems = facts.draft_problems(draft, now) if draft is not None else {}
    told = problems if draft is not None and draft.config else {}
    steps, rest = _guided(form, told) if form is not None else ([], [])
    provider = providers().get(target.channel)
    return AccountCard(
        place=place, channel=target.channel, channel_name=say(provider.name) if provider else target.channel,
        name=facts.draft_name(draft) if draft is not None else target.name, account=account, form=form, steps=steps,
        rest=rest, mark=facts.seen(present_of(target)), problems=len(problems), failed=mine is not None,
        progress=progress_of(account, now) if account is not None and draft is None else None,
    )  # fmt: skip


def _guided(form: AccountForm, problems: Mapping[str, list[str]]) -> tuple[list[Guided], list[Row]]:
    steps: list[Guided] = []
    rest: list[Row] = []
    ours = our_values()
    for step, rows in form.guided(problems):
        if step is None:
            rest = rows
        else:
            steps.append(_step(len(steps) + 1, step, rows, ours))
    if not steps:  # a provider that guides nobody: its fields' own help has to do
        asked = [row for row in rest if row.declared.required and row.declared.default is None]
        steps = [Guided(1, _("Fill in the parameters"), "", "", [], asked)]
        rest = [row for row in rest if row not in asked]
    return steps, rest


def _step(number: int, step: GuideStep, rows: list[Row], ours: Mapping[OurValue, str]) -> Guided:
    copies = [(say(copied.box), ours[copied.value]) for copied in step.copies]
    return Guided(number, say(step.title), say(step.text), step.link, copies, rows)


def channel_choices() -> list[tuple[str, str, list[str]]]:
    """(code, name, its ways to pay) of every channel there is."""
    return [
        (code, say(cls.name), [say(method.name) for method in methods_of(code)])
        for code, cls in sorted(providers().items())
    ]
