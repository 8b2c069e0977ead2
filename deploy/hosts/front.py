"""nginx in front of the web hosts, from the templates of `deploy/nginx`, with a certificate of its own."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.checks import services
from deploy.demo.children import Program
from deploy.demo.layout import HOST
from deploy.nginx import balance

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def find_nginx() -> str | None:
    """nginx's program; Debian keeps it in a folder that is not on everybody's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Front:
    """`folder` holds everything nginx reads and writes. The ports are free ones; both entrances are 127.0.0.1."""

    def __init__(self, folder: Path, hosts: Mapping[str, Sequence[str]]) -> None:
        found = find_nginx()
        if found is None:
            raise services.Unavailable("nginx is not installed (sudo apt-get install nginx-light)")
        self._nginx, self.folder = found, folder
        self.public_port, self.internal_port = services.free_port(), services.free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = _certificate(folder)
        self.site = {
            "PUBLIC_NAME": HOST, "PUBLIC_LISTEN": f"{HOST}:{self.public_port}",
            "INTERNAL_NAME": HOST, "INTERNAL_LISTEN": f"{HOST}:{self.internal_port}",
            "CERTIFICATE": str(self.certificate), "CERTIFICATE_KEY": str(folder / "key.pem"),
            "ACCESS_LOG": str(folder / "access.log"), "UPSTREAMS": str(folder / "upstreams.conf"),
            "RELOAD": " ".join([*self._command, "-s", "reload"]),
            **{f"{entrance.upper()}_SERVERS": ",".join(named) for entrance, named in hosts.items()},
        }  # fmt: skip
        (folder / "upstreams.conf").write_text(balance.upstreams(balance.servers(self.site)))
        (folder / "paycenter.conf").write_text(balance.render(self.site))
        (folder / "nginx.conf").write_text(self._main())

    @property
    def _command(self) -> list[str]:
        return [self._nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    @property
    def public_url(self) -> str:
        return f"https://{HOST}:{self.public_port}"

    @property
    def internal_url(self) -> str:
        return f"https://{HOST}:{self.internal_port}"

    def program(self) -> Program:
        return Program("nginx", self._command)

    def out(self) -> set[str]:
        """host:port of those that get no requests just now."""
        lines = (self.folder / "upstreams.conf").read_text().splitlines()
        return {line.split()[1] for line in lines if line.endswith(" down;")}

    @contextmanager
    def watched(self) -> Iterator[balance.Watch]:
        """While the block runs, hosts go in and out as they say."""
        watch = balance.Watch(self.site)
        thread = threading.Thread(target=watch.run, name="watch", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            watch.ended.set()
            thread.join(10)

    def _main(self) -> str:
        """What a distribution's nginx.conf says around the templates."""
        places = "\n".join(f"    {name}_temp_path {self.folder}/{name};" for name in _TEMPORARY)
        user = "user root;\n" if os.geteuid() == 0 else ""
        log = f"{self.folder}/error.log"
        return (
            f"{user}daemon off;\nworker_processes 2;\npid {self.folder}/nginx.pid;\nerror_log {log} warn;\n"
            "events { worker_connections 1024; }\n"
            f"http {{\n{places}\n    include {self.folder}/paycenter.conf;\n}}\n"
        )


def _certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 that is good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    kept = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "certificate.pem"
    with os.fdopen(os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(kept)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path
