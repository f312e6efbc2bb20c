"""The form to log in: it tells who has to wait that he has to."""

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from audit.access import lockout


class LoginForm(AdminAuthenticationForm):
    """Says the same for names that there are and names that there are not."""

    def get_invalid_login_error(self) -> ValidationError:
        if getattr(self.request, lockout.LOCKED, False):
            return ValidationError(
                f"Too many wrong passwords from here: wait {settings.LOGIN_LOCK_MINUTES} minutes, then try again, "
                "or ask an administrator for a new password.",
                code="locked",
            )
        return super().get_invalid_login_error()
