"""What each staff role may do."""

from django.contrib.auth.backends import ModelBackend


class RoleBackend(ModelBackend):
    """Permissions by role."""
