"""The settings of a shop. The last three lines have its models audited."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only for the example")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop"]
MIDDLEWARE: list[str] = []
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3")}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS += ["auditclient.django"]
MIDDLEWARE += ["auditclient.django.middleware.AuditMiddleware"]
AUDITCLIENT = {"models": ["shop"]}  # AUDIT_URL, AUDIT_KEY, AUDIT_REDIS_URL and AUDIT_SPOOL_DIR are in the environment
