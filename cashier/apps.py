from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CashierConfig(AppConfig):
    name = "cashier"
    verbose_name = _("Cashier")

    def ready(self) -> None:
        from cashier.intake.figures import OrderStreamCollector, waiting_since
        from cashier.intake.taking import SIDE
        from notifications.backlogs import ask_for
        from paycenter.metrics import also_collect
        from trades.taken_port import listen

        listen(SIDE)
        also_collect(OrderStreamCollector())
        ask_for("order_stream", waiting_since)
