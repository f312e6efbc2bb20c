"""The site under a clock that a drill may put wrong."""

import os

from bench import clock

clock.install()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
