"""Connect every signal receiver of this package: the only place that says what follows what, and in which order."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_delete, pre_save

from audit.access import logins, names, sessions
from audit.access.outage import endings


def connect() -> None:
    """Connect the receivers; called once when the app is ready."""
    user_model = get_user_model()
    name_field: Any = user_model._meta.get_field(user_model.USERNAME_FIELD)
    name_field.validators.append(names.refuse_reserved)
    pre_save.connect(names.refuse_reserved_person, sender=user_model, dispatch_uid="audit.reserved_name")
    user_logged_in.connect(logins.logged_in, dispatch_uid="audit.logged_in")
    user_logged_in.connect(sessions.start_clock, dispatch_uid="audit.session_begins")
    user_logged_out.connect(logins.logged_out, dispatch_uid="audit.logged_out")
    user_login_failed.connect(logins.refused, dispatch_uid="audit.login_failed")
    endings.connect()
    if settings.LOGIN_EXTRA:
        from allauth.mfa.models import Authenticator

        from audit.access import sso

        post_delete.connect(endings.factor_removed, sender=Authenticator, dispatch_uid="audit.factor_removed")

        for act, signal in sso.ACTS.items():
            signal.connect(sso.receiver(act), dispatch_uid=f"audit.{act}", weak=False)
