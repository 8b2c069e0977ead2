"""The public entrance: payers and channels."""

from paycenter.urls.parts import handler400, handler404, handler500, health, payers_and_channels

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]
urlpatterns = [*payers_and_channels, *health]
