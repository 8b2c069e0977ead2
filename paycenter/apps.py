from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _

from paycenter import fault_reports, historical, tracing


class PaycenterConfig(AppConfig):
    name = "paycenter"
    default = True
    verbose_name = _("Payment center")

    def ready(self) -> None:
        # Binds shared tasks to our Celery application in every process.
        from paycenter import celery  # noqa: F401

        historical.install()
        tracing.configure()
        fault_reports.configure(settings.SENTRY_DSN, settings.MODE)


class StaffSiteConfig(AdminConfig):
    """Django's admin with our own site: roles, entrances, second factor."""

    default = False
    default_site = "paycenter.staff.site.PaycenterAdminSite"
