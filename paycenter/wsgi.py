"""WSGI entry point of the web processes."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paycenter.settings")
application = get_wsgi_application()

from paycenter.working import settled  # noqa: E402 - Django is set up by the line above

settled()
