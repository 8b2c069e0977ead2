from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RefundsConfig(AppConfig):
    name = "refunds"
    verbose_name = _("Refunds")

    def ready(self) -> None:
        from refunds.inbound import REFUND_SIDE
        from trades.refund_port import listen

        listen(REFUND_SIDE)
