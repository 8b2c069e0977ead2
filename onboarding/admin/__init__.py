"""Onboarding pages: the company's application, and its review."""

from onboarding.admin import application, links

__all__ = ["application", "links"]
