"""Settings of a shop that is audited in the way that SHOP_AUDIT names, or not at all. It knows nothing of the site."""

import os

AUDIT = os.environ["SHOP_AUDIT"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "postgres",
        "HOST": os.environ["SHOP_POSTGRES"],
        "CONN_MAX_AGE": None,
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "auditlog",
    "simple_history",
    "pgtrigger",
    "pghistory",
    "bench.client",
]
# It gives answers their length, without which connections would be closed.
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
if AUDIT.startswith("auditclient"):
    INSTALLED_APPS += ["auditclient.django"]
    MIDDLEWARE += ["auditclient.django.middleware.AuditMiddleware"]
    AUDITCLIENT = {"models": ["client.Recorded"], "durability": AUDIT.rpartition("-")[2]}
# What each peer's own guide has a service install, so that a record says who acted, as the client's does.
ACTORS = {
    "auditlog": "auditlog.middleware.AuditlogMiddleware",
    "simple-history": "simple_history.middleware.HistoryRequestMiddleware",
    "pghistory": "pghistory.middleware.HistoryMiddleware",
}
if AUDIT in ACTORS:
    MIDDLEWARE += [ACTORS[AUDIT]]
ROOT_URLCONF = "bench.client.views"
SECRET_KEY = "shop"
ALLOWED_HOSTS = ["localhost"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PGTRIGGER_INSTALL_ON_MIGRATE = False
PGTRIGGER_MIGRATIONS = False
