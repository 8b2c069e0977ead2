"""The dashboards below the admin's address."""

from dashboards import views

__all__ = ["views"]
