"""Every address in one process: the embedded default."""

from paycenter.urls.parts import (
    api,
    docs,
    handler400,
    handler404,
    handler500,
    health,
    metrics,
    payers_and_channels,
    staff,
)

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]
urlpatterns = [*payers_and_channels, *health, *api, *staff, *docs, *metrics]
