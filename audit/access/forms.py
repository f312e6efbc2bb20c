"""The login form, which tells people who are locked out that they have to wait."""

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from audit.access import lockout


class LoginForm(AdminAuthenticationForm):
    """Answers alike for names that exist and names that do not."""

    def get_invalid_login_error(self) -> ValidationError:
        if getattr(self.request, lockout.LOCKED, False):
            return ValidationError(
                f"Too many wrong passwords from here: wait {settings.LOGIN_LOCK_MINUTES} minutes, then try again, "
                "or ask an administrator for a new password.",
                code="locked",
            )
        return super().get_invalid_login_error()
