"""The internal entrance: apps and all staff, by source address."""

from paycenter.urls.parts import api, docs, handler400, handler404, handler500, health, metrics, staff

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]
urlpatterns = [*health, *api, *staff, *docs, *metrics]
