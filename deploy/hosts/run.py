"""One run: everything started, a load on it, and meanwhile what happens to hosts: restarts, deaths, a late replica."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.db.models import F

from deploy.demo.client import Client
from deploy.hosts.load import Load
from deploy.hosts.recovery import Recovery
from deploy.hosts.site import opened, until
from deploy.hosts.strangers import Door, Trick, dripping, spellings, tricks
from deploy.hosts.strangers_h2 import TrickH2, tricks_h2
from deploy.soak import books as reading
from deploy.soak import commits
from deploy.soak.apps import Receiver
from deploy.soak.books import Books
from deploy.soak.checker import differences
from deploy.soak.duties import due_rows
from deploy.soak.following import Follower
from deploy.soak.house import use_django
from deploy.soak.record import Record

SETTLE_LIMIT = 180.0  # seconds until nothing may be due any more: longer than any lease
BEFORE = 3.0  # seconds of load before and after what is done to the hosts
REPLICA_LIMIT = 60.0  # seconds in which a replica that goes on has to have caught up
UNDER_WAY = 0.7  # seconds after which some of what is claimed has been sent and not been acknowledged
LEASE = timedelta(seconds=60)  # of a claimed notification
DRIPPING = 200  # clients at each entrance, more than a web host has threads
_LAG = re.compile(r"^paycenter_replica_lag_seconds ([\d.e+-]+)$", re.MULTILINE)


class _Receiver(Receiver):
    """The apps' end: takes everything, at once or after a while."""

    slow = False

    def how(self, name: str, number: int) -> str:
        return "slow" if self.slow else "success"


@dataclass
class Run:
    """Prints as it goes. `folder` keeps the programs' data and logs."""

    folder: Path
    webs: int
    seconds: float
    clients: int
    broker_url: str = ""
    begun: float = field(default_factory=time.monotonic)
    wrong: list[str] = field(default_factory=list)

    def go(self) -> int:
        """The exit status: 0 where nothing was refused, lost or done twice."""
        record = Record(self.folder / "requests.jsonl")
        try:
            self.say(f"starting PostgreSQL with a replica, Redis, sandbox, nginx, {self.webs} web hosts with two"
                     " entrances each, 2 workers, 2 beats ...")  # fmt: skip
            with opened(self.folder, webs=self.webs, broker_url=self.broker_url) as (site, replica, wal):
                self.record, self.site = record, site
                self.recovery = Recovery(site, wal)
                os.environ["SSL_CERT_FILE"] = str(site.front.certificate)
                use_django(site.environment)
                self.receiver = _Receiver(0, record)
                with self.receiver.serving() as url:
                    site.start(lambda: self._configure(url))
                    with site.front.watched():
                        self._act(replica)
        finally:
            record.close()
        return self._judge()

    def _configure(self, url: str) -> None:
        from django.db import connection

        from merchants.models import App

        with connection.cursor() as cursor:
            commits.watch(cursor)
        seeded = json.loads(self.site.layout.seeded.read_text())
        for app in seeded["apps"]:
            self.receiver.secrets[app["app_id"]] = app["webhook_secret"]
            App.objects.filter(app_id=app["app_id"]).update(notify_url=f"{url}/{app['app_id']}")
        urls = (self.site.front.internal_url, self.site.layout.sandbox_url)
        self.load = Load(urls, seeded, self.record, self.clients, secrets.token_hex(3))

    # -- what is done under load

    def _act(self, replica: str) -> None:
        self.say("everything answers; the load begins")
        followers = [Follower([self.site.front.internal_url], app, self.record) for app in self.load.seeded["apps"]]
        for follower in followers:
            follower.start()
        with self.load.running():
            self._stage("the database's files are copied", self.recovery.copy)
            self._stage("strangers at the doors", self._strangers)
            self._stage("rolling restart", self._rolling)
            self._stage("a worker is killed", self._killed)
            self.recovery.mark()
            self._stage("the replica stands still", lambda: self._behind(replica))
        self.say("the load is over; settling")
        self._settle()
        for follower in followers:
            follower.finish()
        self.say(f"back to a moment under load: {self.recovery.prove()}")
        self.wrong += self.recovery.wrong
        self._compare([row for follower in followers for row in follower.rows])

    def _stage(self, name: str, work: Callable[[], str]) -> None:
        time.sleep(BEFORE)
        asked, failed = self.load.numbers()
        said = work()
        time.sleep(BEFORE)
        now, wrong = self.load.numbers()
        self.say(f"{name}: {said}; {now - asked} requests, {wrong - failed} errors")

    def _strangers(self) -> str:
        """Both entrances, with many that drip all the while: nothing is answered that may not be."""
        front = self.site.front
        public, internal = (Door(port, front.certificate) for port in (front.public_port, front.internal_port))
        with dripping(public, DRIPPING), dripping(internal, DRIPPING):
            doors: list[tuple[Door, Trick | TrickH2]] = [(public, trick) for trick in spellings(public)]
            doors += [(door, trick) for door in (public, internal) for trick in tricks(door)]
            doors += [(door, trick) for door in (public, internal) for trick in tricks_h2(door)]
            answers = [(door, trick, trick.status(door)) for door, trick in doors]
        self.wrong += [f"port {door.port}, {trick.name}: {status}" for door, trick, status in answers
                       if status not in trick.statuses]  # fmt: skip
        return f"{len(answers)} tricks beside {2 * DRIPPING} clients that drip"

    def _rolling(self) -> str:
        ends, rounds, took = time.monotonic() + self.seconds, 0, 0.0
        while rounds == 0 or time.monotonic() < ends:
            for host in self.site.hosts:
                took = max(took, self.site.restart_web(host))
            for number in (1, 2):
                took = max(took, self.site.restart_worker(number))
            rounds += 1
        again = self._told_for_nothing()
        if again:
            self.wrong.append(f"two beats, nothing killed: {len(again)} notifications were sent twice: {again[:5]}")
        told = len({row["webhook_id"] for row in self.record.receipts})
        return (f"{rounds} times over {self.webs} web hosts and 2 workers, the longest {took:.1f} s;"
                f" {told} notifications told, {len(again)} of them twice for nothing")  # fmt: skip

    def _killed(self) -> str:
        """What a worker had claimed when it was killed is done by another one once the lease is over."""
        from notifications.models import Notification

        self.site.stop("worker2")  # every claim is the first one's now
        self.receiver.slow = True
        claimed = Notification.objects.filter(state="pending", next_delivery_at__gt=F("created_at") + LEASE / 2)
        until("claims", claimed.exists)
        time.sleep(UNDER_WAY)
        self.site.kill("worker1")
        held = set(claimed.values_list("webhook_id", flat=True))
        self.receiver.slow, died = False, time.monotonic()
        self.site.start_worker(2)
        theirs = Notification.objects.filter(webhook_id__in=held)
        until("the dead worker's claims are taken over", lambda: not theirs.exclude(state="delivered").exists())
        took = time.monotonic() - died
        self.site.start_worker(1)
        return (f"it held {len(held)} claims; the other had told all of them {took:.0f} s later,"
                f" {len(self._told_again())} a second time")  # fmt: skip

    def _behind(self, replica: str) -> str:
        """Reports show what was, without an error; the center stays ready and says how far behind it is."""
        with psycopg.connect(replica.replace("postgres://", "postgresql://"), autocommit=True) as server:
            server.execute("SELECT pg_wal_replay_pause()")
            time.sleep(BEFORE)
            missing, lag = self._reports(), self._lag()
            ready = all(host.is_ready() for host in self.site.hosts)
            server.execute("SELECT pg_wal_replay_resume()")
        began = time.monotonic()
        while self._reports() > 0 and time.monotonic() - began < REPLICA_LIMIT:
            time.sleep(0.2)
        checks = {
            "no report was behind": missing <= 0, "the metric said nothing": lag < 1, "a host was not ready": not ready,
            "it did not catch up": time.monotonic() - began >= REPLICA_LIMIT,
        }  # fmt: skip
        self.wrong += [f"replica: {words}" for words, bad in checks.items() if bad]
        return f"reports lacked {missing} trades, lag {lag:.1f} s by the metric"

    def _reports(self) -> int:
        """How many trades that are there the reports do not show. Asks for an app's report as well."""
        from paycenter.replica import reports
        from trades.models import Trade

        there = Trade.objects.count()
        app = self.load.seeded["apps"][0]
        client = Client(self.site.front.internal_url, app["app_id"], app["hmac_secret"])
        day = (date.today() - timedelta(days=1)).isoformat()
        client.call("/v1/query/bill", merchant_no=self.load.seeded["merchants"][0]["merchant_no"], date=day)
        with reports():
            return there - Trade.objects.count()

    def _lag(self) -> float:
        """Seconds by the metric; -1 where it is not told."""
        try:
            with urllib.request.urlopen(f"{self.site.front.internal_url}/metrics", timeout=15) as answer:  # noqa: S310
                found = _LAG.search(answer.read().decode())
        except OSError as exc:
            self.wrong.append(f"/metrics: {exc}")
            return -1.0
        return float(found[1]) if found else -1.0

    # -- afterwards

    def _told_again(self) -> dict[str, int]:
        """How often each notification was received that was received more than once."""
        counts = Counter(str(row["webhook_id"]) for row in list(self.record.receipts))
        return {number: count for number, count in counts.items() if count > 1}

    def _told_for_nothing(self) -> list[str]:
        """Those that were received again although no try had failed: two workers did the same."""
        from notifications.models import Delivery

        again = self._told_again()
        tries = Delivery.objects.filter(notification__webhook_id__in=again, acknowledged=False)
        failed = Counter(tries.values_list("notification__webhook_id", flat=True))
        return sorted(number for number, count in again.items() if count > 1 + failed[number])

    def _settle(self) -> None:
        limit = time.monotonic() + SETTLE_LIMIT
        while due_rows():
            if time.monotonic() > limit:
                return  # the comparison says what is left
            time.sleep(0.5)

    def _compare(self, events_read: list[dict[str, Any]]) -> None:
        if self.record.counts["events not read"]:
            self.wrong.append(f"{self.record.counts['events not read']} times an app could not read its events")
        books = Books(answers=self.record.answers, receipts=self.record.receipts, events_read=events_read)
        reading.center_rows(books)
        reading.sandbox_rows(books, self.site.layout.sandbox_state)
        self.wrong += [str(one) for one in differences(books)]
        paid = sum(row["state"] == "paid" for row in books.trades)
        again = len(self._told_again())
        self.say(f"{len(books.trades)} trades, {paid} paid, {len(books.events)} events,"
                 f" {len(books.receipts)} notifications received, {again} of them more than once")  # fmt: skip
        self._ended_well()

    def _ended_well(self) -> None:
        for name, child in self.site.children.items():
            if child.has_ended():
                self.wrong.append(f"{name} ended by itself ({child.exit_code()})")

    def _judge(self) -> int:
        asked, failed = self.load.numbers()
        by_kind = ", ".join(f"{name} {count}" for name, count in sorted(self.load.requests.items()))
        self.say(f"{asked} requests ({by_kind}), the slowest {self.load.slowest:.1f} s, {failed} errors")
        for line in [*self.load.errors[:10], *self.wrong[:10]]:
            self.say(line)
        if failed or self.wrong:
            self.say(f"FAILED: {failed} errors, {len(self.wrong)} differences; data and logs are in {self.folder}")
            return 1
        self.say("ok: nothing was refused, nothing lost, nothing done twice but what a killed worker had begun")
        return 0

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", flush=True)
