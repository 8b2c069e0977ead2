"""A mail server as RFC 5321 and RFC 4954 describe it: greets, asks for a login, refuses mailboxes it does not know.

https://www.rfc-editor.org/rfc/rfc5321 · https://www.rfc-editor.org/rfc/rfc4954
"""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """Takes mail for `mailboxes` from whoever logs in; `taken` holds it. With `tls`, nothing is said in the clear."""

    user: str = "center"
    password: str = "right"
    mailboxes: tuple[str, ...] = ("a@x.example", "b@x.example")
    busy: bool = False
    tls: ssl.SSLContext | None = None
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # every line before the message itself

    def __post_init__(self) -> None:
        outer = self

        class Handler(_Talk):
            mail = outer

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Talk(socketserver.StreamRequestHandler):
    mail: MailServer

    def setup(self) -> None:
        if self.mail.tls is not None:
            self.request = self.mail.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        self.known, self.to = False, list[str]()
        self.say("220 mail.example ESMTP")
        while line := self.rfile.readline().decode("ascii", "replace").strip():
            self.mail.heard.append(line)
            word = line.upper().split(" ")[0]
            answer = getattr(self, f"on_{word.lower()}", None)
            self.say(answer(line) if answer else "500 5.5.2 unrecognised command")
            if word == "QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in text.split("\n")).encode())

    def on_ehlo(self, _line: str) -> str:
        return "250-mail.example\n250-8BITMIME\n250 AUTH PLAIN"

    def on_auth(self, line: str) -> str:
        _nobody, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
        self.known = (user, password) == (self.mail.user, self.mail.password)
        return "235 2.7.0 accepted" if self.known else "535 5.7.8 credentials invalid"

    def on_mail(self, _line: str) -> str:
        return "250 2.1.0 ok" if self.known else "530 5.7.0 authentication required"

    def on_rcpt(self, line: str) -> str:
        if self.mail.busy:
            return "451 4.7.1 greylisted, try again later"
        address = line.partition("<")[2].partition(">")[0]
        if address not in self.mail.mailboxes:
            return "550 5.1.1 no such mailbox"
        self.to.append(address)
        return "250 2.1.5 ok"

    def on_data(self, _line: str) -> str:
        self.say("354 end with a dot")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        self.mail.taken.append((self.to, message_from_bytes(b"".join(lines), policy=policy.default)))  # type: ignore[arg-type]
        return "250 2.0.0 queued"

    def on_rset(self, _line: str) -> str:
        return "250 2.0.0 ok"

    def on_quit(self, _line: str) -> str:
        return "221 2.0.0 bye"
