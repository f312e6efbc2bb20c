"""The WSGI entry point: `python -m auditsite.front`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
application = get_wsgi_application()
