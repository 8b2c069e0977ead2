"""WSGI entry point of the web processes."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paycenter.settings")
_django = get_wsgi_application()

from django.db import connection  # noqa: E402 - Django is set up by the lines above

from cashier.quick import ROUTES  # noqa: E402
from paycenter.pools import use_the_warmest  # noqa: E402
from paycenter.quick import QuickAnswers  # noqa: E402
from paycenter.working import settled  # noqa: E402

application = QuickAnswers(_django, ROUTES)
use_the_warmest(connection)
settled()
