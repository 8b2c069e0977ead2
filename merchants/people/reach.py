"""Who may invite and change whom, and which of it needs a second person; who may ask for what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from merchants.models import ChangeRequest, PaymentAccount, Role, User
from merchants.roles import ROLE_PERMISSIONS

CONFIRM_PERMISSION = "merchants.confirm_changerequest"
# Whom each role may invite and change; an owner only people of the own merchant. Superusers: everybody.
KEEPS: Mapping[str, tuple[Role, ...]] = {
    Role.OPERATOR: tuple(Role),
    Role.OWNER: (Role.OWNER, Role.MERCHANT),
}
# Whom one person alone lets in. Everybody else is one half of what two people decide: asks (customer service for
# refunds, business-line staff for methods), confirms and approves, or watches those who do (the auditor). Who could
# sign in as them would be a second person of their own.
_LET_IN_ALONE = frozenset({Role.MERCHANT})


def kept_roles(by: User) -> tuple[Role, ...]:
    """The roles this person may give to others."""
    return tuple(Role) if by.is_superuser else KEEPS.get(by.role, ())


def keeps(by: User, person: User) -> bool:
    """Whether `by` may change `person` at all; superusers are kept by superusers."""
    if by.is_superuser:
        return True
    own = by.role != Role.OWNER or (by.merchant_id is not None and person.merchant_id == by.merchant_id)
    return own and not person.is_superuser and person.role in kept_roles(by)


def needs_second(role: str, *, is_superuser: bool = False) -> bool:
    """Whether nobody alone may let in somebody of this role, because it takes part in what two people decide."""
    return is_superuser or role not in _LET_IN_ALONE


def changes_accounts(user: Any) -> bool:
    """Whether somebody may do alone what takes nobody else: the center's staff, not an account's own company."""
    return bool(user.has_perm("merchants.change_paymentaccount"))


def may_ask_about(user: User, account: PaymentAccount) -> bool:
    """Whether somebody may ask for other parameters, methods or another name of an account: who changes accounts,
    and the owners of the account's company."""
    own = user.merchant_id is not None and user.merchant_id == account.merchant_id
    return changes_accounts(user) or (own and user.has_perm("merchants.propose_paymentaccount"))


def deciders(change: ChangeRequest) -> QuerySet[User]:
    """Who may confirm or reject this change."""
    roles = [role for role, permissions in ROLE_PERMISSIONS.items() if CONFIRM_PERMISSION in permissions]
    people = User.objects.filter(Q(role__in=roles) | Q(is_superuser=True), is_active=True, is_staff=True)
    return people.exclude(pk__in=[change.requested_by_id, change.person_id or 0])


def tenant_values(by: User, role: str, merchant: Any, app: Any) -> dict[str, Any]:
    """Merchant and app that fit the role; an owner's people belong to the owner's merchant."""
    of_merchant = role in (Role.OWNER, Role.MERCHANT)
    if by.role == Role.OWNER and not by.is_superuser:
        merchant = by.merchant
    return {"merchant": merchant if of_merchant else None, "app": app if role == Role.APP else None}
