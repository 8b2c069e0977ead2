"""E-mail through the installation's own mail server (`PAYCENTER_SMTP_…`)."""

from __future__ import annotations

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage

from notifications.receivers.base import Message, Receiver, RobotBusy, RobotRefused, Target, bounded
from paycenter.http import HttpClient

MESSAGES_PER_MINUTE = 30
MAX_TEXT_BYTES = 60_000
# https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1: replies of 4yz are about the moment, not the message.
_BUSY_SECONDS = 300.0


def _send(_http: HttpClient, target: Target, message: Message, _now: float) -> str:
    if not settings.EMAIL_HOST:
        raise RobotRefused("no mail server is configured")
    subject = " ".join(f"[{settings.ALERT_MAIL_PREFIX}] {message.title}".split())
    mail = EmailMessage(subject, bounded(message.text, MAX_TEXT_BYTES), to=list(target.addresses))
    try:
        mail.send()
    except smtplib.SMTPResponseException as exc:
        _refuse(exc.smtp_code, exc.smtp_error)
    except smtplib.SMTPRecipientsRefused as exc:
        _refuse(*next(iter(exc.recipients.values())))
    except (smtplib.SMTPException, OSError) as exc:
        raise RobotRefused(f"the mail server cannot be used: {type(exc).__name__}") from exc
    return f"{len(target.addresses)} × SMTP 250"


def _refuse(code: int, words: bytes | str) -> None:
    said = words.decode(errors="replace") if isinstance(words, bytes) else words
    text = f"SMTP {code}: {said}"[:200]
    raise RobotBusy(text, _BUSY_SECONDS) if 400 <= code < 500 else RobotRefused(text)


RECEIVER = Receiver(_send, MESSAGES_PER_MINUTE, MAX_TEXT_BYTES, str)  # a mail is plain text
