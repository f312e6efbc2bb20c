"""The WSGI entry point: `granian --interface wsgi auditsite.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
application = get_wsgi_application()
