"""Every setting of the site, read from the environment by typed readers.

A secret may also come from a file: `NAME_FILE` names it. `docs/settings.md` lists them all.
"""

from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from environs import validate

from auditsite import buckets, logs, postgres_address, replica, rest
from auditsite.entrykey import entry_keys
from auditsite.readers import BASE_DIR, env, key_file, lines, moment, redis_address, secret, traces
from dlq import address

# --- Who we are -----------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", False)
# The first line signs; the others are taken as well: the key of before, or the one that is to come (docs/rotation.md).
SECRET_KEY, *SECRET_KEY_FALLBACKS = lines(secret("SECRET_KEY"))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
SITE_NAME = env.str("SITE_NAME", "Audit store")
# What a web process serves: "site", everything; "ingest", what writers send (`python -m auditsite.front --role`).
ROLE = env.str("ROLE", "site", validate=validate.OneOf(["site", "ingest"]))
# So many connections one address (one /64 of IPv6) may have to the processes of a role; 0: no bound.
# With PROXY_HOPS there is none: the connections are the proxy's.
CONNECTIONS_PER_ADDRESS = env.int("CONNECTIONS_PER_ADDRESS", 256)

# --- Servers --------------------------------------------------------------------------------

CONNECT_TIMEOUT = 2  # seconds; libpq's least
DATABASE_POOLED = env.bool("DATABASE_POOLED", False)  # a pooler gives each transaction another session
# Forced on every connection, whatever roles are set to; `remote_apply` waits until standbys show it, too.
SYNCHRONOUS_COMMIT = env.str("SYNCHRONOUS_COMMIT", "on", validate=validate.OneOf(["on", "remote_apply"]))
WEB_STATEMENT_TIMEOUT_MS = env.int("WEB_STATEMENT_TIMEOUT_MS", postgres_address.WEB_STATEMENT_TIMEOUT_MS)
READER_STATEMENT_TIMEOUT_MS = env.int("READER_STATEMENT_TIMEOUT_MS", postgres_address.READER_STATEMENT_TIMEOUT_MS)
# A migration waits so long for a lock, for inserts wait behind it; then it tries again, for MIGRATE_PATIENCE_S.
MIGRATE_LOCK_MS = env.int("MIGRATE_LOCK_MS", 100)
MIGRATE_PATIENCE_S = env.float("MIGRATE_PATIENCE_S", 600.0)


def database(name: str, statement_timeout_ms: int) -> dict[str, Any]:
    """Django's settings for the database at the address in the variable `name`."""
    parts = {"connect_timeout": str(CONNECT_TIMEOUT)} | postgres_address.read(name, secret(name))
    ours = f"-c statement_timeout={statement_timeout_ms} -c synchronous_commit={SYNCHRONOUS_COMMIT}"
    is_pooled = DATABASE_POOLED and name in postgres_address.POOLED
    return postgres_address.django_settings(parts, "" if is_pooled else ours, statement_timeout_ms)


# Three roles, three connections: the application appends, the owner migrates, the reader looks.
DATABASES = {
    "default": database("DATABASE_URL", WEB_STATEMENT_TIMEOUT_MS),
    "owner": database("DATABASE_OWNER_URL", 0),
    "reader": database("DATABASE_READER_URL", READER_STATEMENT_TIMEOUT_MS),
    **replica.databases(database, READER_STATEMENT_TIMEOUT_MS),
}
DATABASES["default"]["OPTIONS"]["must_write"] = True
DATABASES["owner"]["CONN_MAX_AGE"] = 0
DATABASES["owner"]["OPTIONS"]["options"] += f" -c lock_timeout={MIGRATE_LOCK_MS}"
REPLICA_MAX_LAG_S, REPLICA_WAIT_S = replica.MAX_LAG_S, replica.WAIT_S
DATABASE_ROUTERS = ["audit.postgres.router.ReaderRouter"]

# A role that may replicate, for `manage.py backup` alone. After BACKUP_HOURS without a backup a check warns; 0: never.
DATABASE_BACKUP_URL = postgres_address.of_libpq("DATABASE_BACKUP_URL", secret("DATABASE_BACKUP_URL", ""))
BACKUP_HOURS = env.float("BACKUP_HOURS", 26)

REDIS_URL = redis_address("REDIS_URL")
# The cache only carries the limits of writers. Never the queue's database: a cache may be cleared.
CACHE_URL = redis_address("CACHE_URL", "")
REDIS_CACHE = {
    "BACKEND": "django_redis.cache.RedisCache",
    "LOCATION": [CACHE_URL],  # as text it would be split at commas, into a server and its replicas
    "KEY_PREFIX": "{cache}" if CACHE_URL and address.read(CACHE_URL).kind == "cluster" else "cache",
    # Without it writers are served unthrottled.
    "OPTIONS": {
        "IGNORE_EXCEPTIONS": True,
        "SOCKET_TIMEOUT": 0.1,
        "CONNECTION_FACTORY": "auditsite.redis_clients.CacheConnections",
    },
}
LOCAL_CACHE = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
# The Redis of django-q2; on a cluster its keys share a hash tag, as all others do.
QUEUE_URL = redis_address("QUEUE_URL", REDIS_URL)
CACHES: dict[str, Any] = {"default": REDIS_CACHE if CACHE_URL else LOCAL_CACHE}

# --- The audit store ------------------------------------------------------------------------

# While PostgreSQL answers others a write may take this long; then it is parked in the DLQ.
RECORD_PATIENCE_MS = env.int("RECORD_PATIENCE_MS", 2_000)
# After three in a row that took longer, until one is stored again, a write may take only this long.
RECORD_TIMEOUT_MS = env.int("RECORD_TIMEOUT_MS", 200)
# While a write waits PostgreSQL is asked for a sign of life; after a silence of this long all of them are parked.
HEARTBEAT_TIMEOUT_MS = env.int("HEARTBEAT_TIMEOUT_MS", 150)
OUTAGE_MIN_S = env.int("OUTAGE_MIN_S", 10)  # what lasted shorter and parked fewer is no outage but a blip
OUTAGE_MIN_EVENTS = env.int("OUTAGE_MIN_EVENTS", 100)
# Connections for recording in each web process: one that single events of all threads share, others for batches.
RECORD_CONNECTIONS = env.int("RECORD_CONNECTIONS", 2)
PROBE_INTERVAL_MS = env.int("PROBE_INTERVAL_MS", 250)  # how often the breaker asks whether PostgreSQL is back
PARTITIONS_AHEAD = env.int("PARTITIONS_AHEAD", 6)  # months
# What one writer may send, in events and in bytes ("1000/s", "60000/min"); empty means no limit.
WRITER_RATE = env.str("WRITER_RATE", "")
WRITER_BYTES_RATE = env.str("WRITER_BYTES_RATE", "")
# How long a process may trust a key it has checked: the bound for rotation and revocation.
WRITER_KEY_TTL_S = env.float("WRITER_KEY_TTL_S", 3.0)
# How long the old keys of a writer work beside the one that a rotation makes.
KEY_OVERLAP_HOURS = env.int("KEY_OVERLAP_HOURS", 24)
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
# What of one writer is kept though it is not valid, on a UTC day.
INVALID_EVENTS = env.int("INVALID_EVENTS", 10_000)
INVALID_BYTES = env.int("INVALID_BYTES", 64 * 1024 * 1024)

# --- The dead letter queue ------------------------------------------------------------------

DLQ_PREFIX = env.str("DLQ_PREFIX", "dlq")
DLQ_TIMEOUT_MS = env.int("DLQ_TIMEOUT_MS", 100)
DLQ_ALERT_DEPTH = env.int("DLQ_ALERT_DEPTH", 100)
DLQ_ALERT_WEBHOOK = secret("DLQ_ALERT_WEBHOOK", "")
DLQ_ALERT_EMAILS: list[str] = env.list("DLQ_ALERT_EMAILS", [])
secret("EMAIL_URL", "")
_mail: dict[str, Any] = env.dj_email_url("EMAIL_URL", "smtp://localhost:25")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail["EMAIL_USE_SSL"], _mail["EMAIL_USE_TLS"]
EMAIL_TIMEOUT = 5  # seconds: a mail server that is silent must not stop whoever tells
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "auditsite@localhost")
# So many replicas of Redis must have an event before it is called parked; 0 where there are none.
DLQ_MIN_REPLICAS = env.int("DLQ_MIN_REPLICAS", 1 if address.read(REDIS_URL).fails_over else 0)
# A folder for what Redis refuses as well, and for copies of what waits for more than seven days; none if unset.
DLQ_SPOOL_DIR = env.path("DLQ_SPOOL_DIR", None)
DLQ_SPOOL_MAX_MB = env.int("DLQ_SPOOL_MAX_MB", 256)
DLQ_BATCH = env.int("DLQ_BATCH", 500)
DLQ_LEASE_S = env.int("DLQ_LEASE_S", 20)
# So long, and so much, of what was drained stays in Redis, for a store that is restored from a backup; 0: none.
DLQ_KEEP_DRAINED_S = env.float("DLQ_KEEP_DRAINED_S", 6 * 3600.0, validate=validate.Range(min=0))
DLQ_KEEP_DRAINED_BYTES = env.int("DLQ_KEEP_DRAINED_BYTES", 256 * 2**20, validate=validate.Range(min=0))
# What is parked is signed with the first key, and taken with any: Redis has none of them. Of SECRET_KEY and
# SECRET_KEY_FALLBACKS without a file.
DLQ_ENTRY_KEY, *DLQ_ENTRY_OLD_KEYS = entry_keys(SECRET_KEY, env.path("DLQ_ENTRY_KEY_FILE", None), SECRET_KEY_FALLBACKS)
# Until then entries without a signature are taken, for an upgrade with a queue that is not empty; unset: never.
DLQ_UNSIGNED_UNTIL = moment(env.str("DLQ_UNSIGNED_UNTIL", ""))

# --- The sealed log -------------------------------------------------------------------------

# The private key that signs, and every public key that ever did (audit/ledger/keys.py). Files are read anew at each
# use, so that a rotation needs no restart.
SEAL_KEY = env.str("SEAL_KEY", "")
SEAL_KEY_FILE = key_file("SEAL_KEY", "seal_key")
SEAL_PUBLIC_KEYS = env.str("SEAL_PUBLIC_KEYS", "")
SEAL_PUBLIC_KEYS_FILE = key_file("SEAL_PUBLIC_KEYS", "seal_key.pub")
# The key that signs receipts, held in the same way; its files are read anew when they change.
RECEIPT_KEY = env.str("RECEIPT_KEY", "")
RECEIPT_KEY_FILE = key_file("RECEIPT_KEY", "receipt_key")
RECEIPT_PUBLIC_KEYS = env.str("RECEIPT_PUBLIC_KEYS", "")
RECEIPT_PUBLIC_KEYS_FILE = key_file("RECEIPT_PUBLIC_KEYS", "receipt_key.pub")
SEAL_INTERVAL_MS = env.int("SEAL_INTERVAL_MS", 400)
SEAL_WAIT_MS = env.int("SEAL_WAIT_MS", 2000)
# A signed head becomes a checkpoint so often, and where it is given out; the others are replaced by the next.
SEAL_KEEP_S = env.int("SEAL_KEEP_S", 60)
SEAL_IDLE_S = env.int("SEAL_IDLE_S", 3600)
SEAL_MERGE_DELAY_S = env.int("SEAL_MERGE_DELAY_S", 60)
SEAL_WITNESSES: list[str] = env.list("SEAL_WITNESSES", [])
SEAL_ANCHOR_FILE = env.path("SEAL_ANCHOR_FILE", None)
SEAL_ANCHOR_DIR = env.path("SEAL_ANCHOR_DIR", None)
SEAL_ANCHOR_S = env.int("SEAL_ANCHOR_S", 60)
VERIFY_DAYS = env.int("VERIFY_DAYS", 30)
GAP_GRACE_S = env.int("GAP_GRACE_S", 60)
METRICS_PORT = env.int("METRICS_PORT", 0)  # where services that answer no requests serve their counters; 0: nowhere
HEARTBEAT_EPOCHS = env.int("HEARTBEAT_EPOCHS", 10_000)  # of one writer within a day
# A folder that web processes and workers share: evidence bundles are made in it, and kept for EXPORT_DAYS.
EXPORT_DIR = env.path("EXPORT_DIR", None)
EXPORT_CERTIFICATE_FILE = env.path("EXPORT_CERTIFICATE_FILE", None)
EXPORT_DAYS = env.float("EXPORT_DAYS", 7)
EXPORT_MAX_MB = env.int("EXPORT_MAX_MB", 20_000)  # of all bundles, also of those that are being made; 0: no bound
EXPORT_AT_ONCE = env.int("EXPORT_AT_ONCE", 20)
IMPORT_MAPPINGS_DIR = env.path("IMPORT_MAPPINGS_DIR", None)  # mappings of your own, beside those that come with it
# So long stay tasks that failed, verifications that found nothing, heartbeats of epochs that are over.
FAILED_TASK_DAYS = env.float("FAILED_TASK_DAYS", 30)
VERIFICATION_DAYS = env.float("VERIFICATION_DAYS", 400, validate=validate.Range(min=31))
HEARTBEAT_DAYS = env.float("HEARTBEAT_DAYS", 30, validate=validate.Range(min=1))
EXPORT_VOLUME = env.int("EXPORT_VOLUME", 100_000)  # records a volume
# An archive goes on in another volume once one has so many bytes. It may lie in a bucket.
ARCHIVE_VOLUME_MB = env.float("ARCHIVE_VOLUME_MB", 500, validate=validate.Range(min=0.001))
S3, ARCHIVE_LOCK = buckets.storage(), buckets.archive_lock()
STREAMS_FILE = env.path("STREAMS_FILE", None)  # where the log is streamed to (docs/streams.md)
STREAM_ALARM_S = env.float("STREAM_ALARM_S", 900)  # an alarm is told where a target lacks a record that old
# So long after its end a UTC day may wait for its review; 0: reviews are not asked for.
REVIEW_HOURS = env.float("REVIEW_HOURS", 24)
CONTROL_PACKS = env.path("CONTROL_PACKS", None)  # a folder of more sets of controls for compliance reports
REPORT_PACKS: list[str] = env.list("REPORT_PACKS", [])  # those of which each month is reported by itself
WORKER_STALE_S = env.float("WORKER_STALE_S", 150.0)

# --- Django ---------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "dlq.apps.DlqConfig",
    "audit.apps.AuditConfig",
    "audit.apps.AuditAdminConfig",
]

MIDDLEWARE = [
    "audit.middleware.RequestIdMiddleware",
    "audit.middleware.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "audit.middleware.HeadersMiddleware",
    "audit.middleware.OutagePageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "audit.access.sessions.SessionLimitsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "audit.middleware.HarmlessPagesMiddleware",
    # The last: what is inside of it could show records without its knowledge, and what is outside shows none.
    "audit.middleware.AccessMiddleware",
]

# Where OpenTelemetry's own variables ask for traces, and the extra `otel` is there to make them.
TRACES_ASKED, TRACING = traces()
if TRACING:
    MIDDLEWARE.insert(1, "audit.middleware.TraceMiddleware")

ROOT_URLCONF = "auditsite.urls"
WSGI_APPLICATION = "auditsite.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "auditsite.formats"  # an auditor reads UTC

STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / ".local" / "static")
# Compressing them takes many times as long as all else at a start, and gains nothing where only this machine reads.
STATIC_KIND = (
    "whitenoise.storage.Compressed" if env.bool("STATIC_COMPRESSED", True) else "django.contrib.staticfiles.storage."
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": f"{STATIC_KIND}ManifestStaticFilesStorage"},
}

# Tokens of this issuer are taken in place of writers' keys (the extra `jwt`): OpenID Connect, or Kubernetes, whose keys
# may ask for a certificate and a token of their own.
JWT_ISSUER, JWT_JWKS_URL = env.str("JWT_ISSUER", ""), env.str("JWT_JWKS_URL", "")
JWT_AUDIENCE: list[str] = env.list("JWT_AUDIENCE", [])
JWT_ALGORITHMS: list[str] = env.list("JWT_ALGORITHMS", ["RS256", "ES256"])
JWT_KEYS_TTL_S, JWT_KEYS_MAX_AGE_H = env.float("JWT_KEYS_TTL_S", 600), env.float("JWT_KEYS_MAX_AGE_H", 24)
JWT_CA_FILE, JWT_TOKEN_FILE = env.path("JWT_CA_FILE", None), env.path("JWT_TOKEN_FILE", None)

# A locked-out login is refused before any password is looked at.
AUTHENTICATION_BACKENDS = ["audit.access.lockout.LockoutBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_LENGTH = 12
_OF_PASSWORDS = {"UserAttributeSimilarity": {}, "MinimumLength": {"min_length": PASSWORD_LENGTH}, "CommonPassword": {}}
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"django.contrib.auth.password_validation.{name}Validator", "OPTIONS": options}
    for name, options in {**_OF_PASSWORDS, "NumericPassword": {}}.items()
]
LOGIN_URL = "admin:login"
# Where a login leads that names no page of ours.
LOGIN_REDIRECT_URL = "admin:index"
# So many wrong passwords for a name from one address, or ten times as many from the address, lock it for so long.
LOGIN_TRIES = env.int("LOGIN_TRIES", 5)
LOGIN_LOCK_MINUTES = env.int("LOGIN_LOCK_MINUTES", 15)
# How many proxies of ours add the client's address to X-Forwarded-For, and whether they say in X-Forwarded-Proto how
# it came. Believed only where they are really there.
PROXY_HOPS = env.int("PROXY_HOPS", 0)
if PROXY_HOPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

SECURE_COOKIES = env.bool("SECURE_COOKIES", True)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
if SECURE_COOKIES:
    # Browsers take such a name only over HTTPS and from this host itself.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"  # a link that a colleague sent finds one logged in
CSRF_COOKIE_SAMESITE = "Strict"
SESSION_HOURS = env.float("SESSION_HOURS", 8)
SESSION_IDLE_MINUTES = env.float("SESSION_IDLE_MINUTES", 30)
SESSION_COOKIE_AGE = int(SESSION_HOURS * 60 * 60)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 365 * 24 * 60 * 60 if SECURE_COOKIES else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = False  # the names below ours are not ours to decide
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# A second factor for people ("off", "optional", "required" of whoever administers or decides), and the login of an
# OpenID Connect provider: both through django-allauth (the extra `login`), whose tables `migrate` makes.
LOGIN_MFA = env.str("LOGIN_MFA", "off")
LOGIN_OIDC_URL = env.str("LOGIN_OIDC_URL", "")
LOGIN_OIDC_NAME = env.str("LOGIN_OIDC_NAME", "Single sign-on")
LOGIN_OIDC_CLIENT_ID = env.str("LOGIN_OIDC_CLIENT_ID", "")
LOGIN_OIDC_SECRET = secret("LOGIN_OIDC_SECRET", "")
# Where writers send, nobody logs in.
LOGIN_EXTRA = ROLE != "ingest" and (LOGIN_MFA != "off" or bool(LOGIN_OIDC_URL))
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    # JSON is not a page: there the header protects nothing, and costs a tenth of a write.
    "EXCLUDE_URL_PREFIXES": ["/api/v1/"],
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}

if LOGIN_EXTRA:
    INSTALLED_APPS += ["allauth", "allauth.account", "allauth.mfa", "allauth.socialaccount"]
    INSTALLED_APPS += ["allauth.socialaccount.providers.openid_connect"]
    MIDDLEWARE[-1:-1] = ["allauth.account.middleware.AccountMiddleware", "audit.access.mfa.SecondFactorMiddleware"]
    LOGIN_URL, ACCOUNT_LOGOUT_REDIRECT_URL = "account_login", "account_login"
    ACCOUNT_ADAPTER, SOCIALACCOUNT_ADAPTER = "audit.access.sso.AccountAdapter", "audit.access.sso.ProviderAdapter"
    ACCOUNT_LOGIN_METHODS, ACCOUNT_EMAIL_VERIFICATION, ACCOUNT_UNIQUE_EMAIL = {"username"}, "none", False
    ACCOUNT_SESSION_REMEMBER = False
    MFA_SUPPORTED_TYPES, MFA_ALLOW_UNVERIFIED_EMAIL = ["totp", "webauthn", "recovery_codes"], True
    MFA_TOTP_ISSUER, MFA_PASSKEY_LOGIN_ENABLED, MFA_ADAPTER = (
        SITE_NAME,
        LOGIN_MFA != "off",
        "audit.access.passkeys.FactorAdapter",
    )
    MFA_FORMS = {
        "add_webauthn": "audit.access.passkeys.AddForm",
        "edit_webauthn": "audit.access.passkeys.EditForm",
        "authenticate_webauthn": "audit.access.passkeys.AuthenticateForm",
        "login_webauthn": "audit.access.passkeys.PasskeyLoginForm",
        "reauthenticate_webauthn": "audit.access.passkeys.ReauthenticateForm",
    }
    SOCIALACCOUNT_STORE_TOKENS = False
    if LOGIN_OIDC_URL:
        # Browsers hold the form that begins the login to the policy all along its redirects.
        _provider = "{0.scheme}://{0.netloc}".format(urlsplit(LOGIN_OIDC_URL))
        CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"].append(_provider)
        _app: dict[str, Any] = {"provider_id": "sso", "name": LOGIN_OIDC_NAME, "client_id": LOGIN_OIDC_CLIENT_ID}
        _app |= {"secret": LOGIN_OIDC_SECRET, "settings": {"server_url": LOGIN_OIDC_URL}}
        SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [_app]}}

if ROLE == "ingest":
    # No pages: what only they need is a quarter of a write.
    ROOT_URLCONF, _kept = "auditsite.ingest_urls", ("RequestId", "Trace", "Host", "Security", "Access")
    MIDDLEWARE = [name for name in MIDDLEWARE if name.rpartition(".")[2].removesuffix("Middleware") in _kept]

REST_FRAMEWORK, SPECTACULAR_SETTINGS = rest.REST_FRAMEWORK, rest.SPECTACULAR_SETTINGS

Q_CLUSTER = {
    # django-q2 only triggers: what must survive it lives in Redis Streams and PostgreSQL.
    "name": "{auditsite}" if address.read(QUEUE_URL).kind == "cluster" else "auditsite",
    "broker_class": "auditsite.redis_clients.Broker",
    "workers": 1,
    "queue_limit": 2,
    "bulk": 1,
    "timeout": 50,
    "retry": 60,
    "max_attempts": 1,
    "catch_up": False,
    "save_limit": 50,
    "recycle": 500,
}

# --- Logs -----------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOGGING = logs.configure(LOG_LEVEL, traced=TRACING)
