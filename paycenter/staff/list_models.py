"""What people keep of lists: filters with a name, and exports."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class SavedView(models.Model):
    """A list's filters and order under a name. `role` names who else sees it: colleagues of that role, of the same
    merchant or app where the role belongs to one."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    page = models.CharField(max_length=80)  # app_label.model
    name = models.CharField(_("name"), max_length=40)
    query = models.CharField(max_length=1000, blank=True, default="")
    role = models.CharField(max_length=12, blank=True, default="")
    created_at = models.DateTimeField(_("created"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "page", "name"], name="savedview_unique")]
        indexes = [models.Index(fields=["page", "role"], condition=~Q(role=""), name="savedview_shared")]

    def __str__(self) -> str:
        return self.name


class ExportState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("being written")
    DONE = "done", _("ready")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    GONE = "gone", _("deleted")


UNFINISHED = (ExportState.WAITING, ExportState.RUNNING)


class ListExport(models.Model):
    """A list as somebody filtered it, written to a file in the background.

    `next_run_at` is set while there is something to do; taking it moves it into the future, so that a dead worker's
    export is taken up again. A CSV goes on behind `place` (`size` bytes are certain), an XLSX begins afresh.
    """

    class Kind(models.TextChoices):
        CSV = "csv", "CSV"
        SEMICOLONS = "csv2", _("CSV with semicolons")
        XLSX = "xlsx", "XLSX"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("staff member")
    )
    page = models.CharField(_("list"), max_length=80)
    query = models.CharField(_("filter"), max_length=2000, blank=True, default="")
    words = models.JSONField(default=list)  # the filter as the list named it: [["state", "paid"], …]
    kind = models.CharField(_("format"), max_length=4, choices=Kind)
    language = models.CharField(max_length=10)
    reader = models.CharField(max_length=60)  # what the owner was when it was asked for: `exports.reader_of`
    state = models.CharField(_("state"), max_length=10, choices=ExportState, default=ExportState.WAITING)
    expected = models.BigIntegerField(_("rows expected"), default=0)
    rows = models.BigIntegerField(_("rows"), default=0)
    size = models.BigIntegerField(_("bytes"), default=0)
    place = models.CharField(max_length=400, blank=True, default="")
    cut = models.BooleanField(_("cut at the limit"), default=False)
    file = models.CharField(max_length=80, blank=True, default="", editable=False)  # below VAR_DIR/exports
    error = models.CharField(_("error"), max_length=200, blank=True, default="")
    tries = models.PositiveIntegerField(default=0)
    next_run_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("asked for at"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    expires_at = models.DateTimeField(_("kept until"), null=True)
    told_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        indexes = [
            models.Index(fields=["next_run_at"], condition=Q(next_run_at__isnull=False), name="listexport_due"),
            models.Index(fields=["expires_at"], condition=Q(state="done"), name="listexport_kept"),
            models.Index(fields=["owner", "-id"], name="listexport_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.page} {self.kind}"

    @staticmethod
    def ending_of(kind: str) -> str:
        """How names of files of this kind end."""
        return "xlsx" if kind == ListExport.Kind.XLSX else "csv"

    @property
    def percent(self) -> int:
        """How far it is, as far as anybody knows beforehand."""
        if self.state == ExportState.DONE:
            return 100
        return min(99, 100 * self.rows // self.expected) if self.expected else 0

    def event_fields(self) -> dict[str, Any]:
        return {"detail": {"list": self.page, "filter": self.query[:400], "format": self.kind, "rows": self.rows}}
