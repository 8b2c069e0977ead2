"""Reading an application: values, what is missing, and how a value is shown. No writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from channels.base.config import clean_config
from channels.base.discovery import providers
from channels.base.fields import Label
from merchants.forms import say
from merchants.models import Merchant, PaymentAccount
from merchants.states import OPEN_STATES
from onboarding.models import AccountDraft, Application, ApplicationDocument
from onboarding.steps import DOCUMENT_KINDS, FACT_STEPS, DocumentKind, Fact, Step
from paycenter.errors import ChannelConfigInvalid


@dataclass(frozen=True, slots=True)
class Missing:
    """What has still to be done, in words, and the element of the page it is about."""

    step: str
    text: str
    anchor: str


def step_values(application: Application, merchant: Merchant, step: Step) -> dict[str, Any]:
    """The stored values of a step by name; what was never filled in is empty."""
    stored = application.facts.get(step.code, {})
    empty: Mapping[bool, Any] = {True: [], False: ""}
    return {
        fact.name: getattr(merchant, fact.name) if fact.column else stored.get(fact.name, empty[fact.many])
        for fact in step.facts
    }


def all_values(application: Application, merchant: Merchant) -> dict[str, dict[str, Any]]:
    """The values of every step with facts."""
    return {code: step_values(application, merchant, step) for code, step in FACT_STEPS.items()}


def seen(values: Any) -> str:
    """A mark of stored values, for the form that was drawn from them: another mark means that they changed."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return salted_hmac("onboarding.seen", text, algorithm="sha256").hexdigest()[:32]


def shown(fact: Fact, value: Any) -> str:
    """The value as people read it; of a sensitive one only the last four characters."""
    if fact.many:
        words = dict(fact.choices)
        return gettext(", ").join(str(words.get(code, code)) for code in value)
    if fact.choices:
        return str(dict(fact.choices).get(value, value))
    return masked(value) if fact.sensitive and value else str(value)


def masked(value: str) -> str:
    """`•••• 4321`."""
    return f"•••• {value[-4:]}" if len(value) > 8 else "••••"


def documents_of(application: Application) -> dict[str, ApplicationDocument]:
    """The present documents by kind."""
    return {document.kind: document for document in application.documents.filter(ended_at__isnull=True)}


def wanted_documents(facts: Mapping[str, Mapping[str, Any]]) -> list[tuple[DocumentKind, bool]]:
    """Every kind, and whether it is required with these facts."""
    return [(kind, kind.wanted(facts)) for kind in DOCUMENT_KINDS]


def accounts_of(merchant: Merchant) -> list[PaymentAccount]:
    """The company's accounts that are part of the application, oldest first."""
    rows = merchant.accounts.filter(state__in=OPEN_STATES).prefetch_related("methods").order_by("pk")
    return list(rows)


def draft_problems(draft: AccountDraft, now: Any) -> dict[str, list[str]]:
    """What is wrong or missing in an unfinished account, by parameter, in the reader's language."""
    provider = providers().get(draft.channel)
    if provider is None:
        return {"channel": [gettext("This channel does not exist any more.")]}
    try:
        clean_config(provider, draft.config, now)
    except ChannelConfigInvalid as exc:
        return {name: [say(reason) for reason in reasons] for name, reasons in exc.problems.items()}
    return {}


def field_label(channel: str, name: str) -> str:
    """A channel parameter's name in the reader's language."""
    provider = providers().get(channel)
    labels: dict[str, Label] = {field.name: field.label for field in provider.fields} if provider else {}
    return say(labels[name]) if name in labels else name


def missing_of(
    facts: Mapping[str, Mapping[str, Any]], documents: Mapping[str, Any], accounts: list[PaymentAccount],
    drafts: list[AccountDraft],
) -> list[Missing]:  # fmt: skip
    """Everything that stands between the application and its submission."""
    found = [
        Missing(code, gettext("%(field)s is missing.") % {"field": fact.label}, f"id_{code}-{fact.name}")
        for code, step in FACT_STEPS.items() for fact in step.facts
        if fact.required and not facts[code].get(fact.name)
    ]  # fmt: skip
    found += [
        Missing("documents", gettext("%(document)s: please upload it.") % {"document": kind.label}, f"doc-{kind.code}")
        for kind, wanted in wanted_documents(facts) if wanted and kind.code not in documents
    ]  # fmt: skip
    return [*found, *_missing_accounts(accounts, drafts)]


def _missing_accounts(accounts: list[PaymentAccount], drafts: list[AccountDraft]) -> list[Missing]:
    found = [
        Missing("accounts", gettext("%(account)s is not complete: finish it, or take it away.")
                % {"account": draft_name(draft)}, f"draft-{draft.pk}")
        for draft in drafts
    ]  # fmt: skip
    unchanged = [account for account in accounts if account.pk not in {draft.account_id for draft in drafts}]
    found += [
        Missing("accounts", gettext("%(account)s: the connection has to be checked successfully.")
                % {"account": account.name}, f"account-{account.pk}")
        for account in unchanged if not account.check_ok
    ]  # fmt: skip
    found += [
        Missing("accounts", gettext("%(account)s: choose at least one way to pay.") % {"account": account.name},
                f"account-{account.pk}")
        for account in unchanged if not any(method.is_active for method in account.methods.all())
    ]  # fmt: skip
    if not accounts and not drafts:
        found.append(Missing("accounts", gettext("At least one payment account is needed."), "step-accounts"))
    return found


def draft_name(draft: AccountDraft) -> str:
    """What an unfinished account is called."""
    provider = providers().get(draft.channel)
    return draft.name or (say(provider.name) if provider else draft.channel)


def application_missing(application: Application, merchant: Merchant) -> list[Missing]:
    """`missing_of` for the stored application."""
    return missing_of(
        all_values(application, merchant), documents_of(application), accounts_of(merchant),
        list(application.drafts.all()),
    )  # fmt: skip
