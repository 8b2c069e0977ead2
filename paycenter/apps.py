from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaycenterConfig(AppConfig):
    name = "paycenter"
    verbose_name = _("Payment center")

    def ready(self) -> None:
        # Binds shared tasks to our Celery application in every process.
        from paycenter import celery  # noqa: F401
