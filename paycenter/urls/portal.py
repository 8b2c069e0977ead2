"""The portal: merchant and app staff from outside."""

from paycenter.urls.parts import handler400, handler404, handler500, health, staff

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]
urlpatterns = [*health, *staff]
