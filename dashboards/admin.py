"""The dashboards below the admin's address."""

from dashboards import landing, views

__all__ = ["landing", "views"]
