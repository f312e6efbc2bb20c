"""The form that makes a person: name, address, role and password, ready to log in."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group, User

from audit.access.roles import MAY


class RoleField(forms.ModelChoiceField):
    """One group, as the list of groups that a person has."""

    def label_from_instance(self, group: Any) -> str:
        return f"{group.name}: {MAY[group.name]}" if group.name in MAY else group.name

    def clean(self, value: Any) -> Any:
        return [super().clean(value)]


class NewPersonForm(AdminUserCreationForm):
    email = forms.EmailField(required=False, help_text="Optional: where messages about the store go.")
    groups = RoleField(
        Group.objects.order_by("name"),
        label="Role",
        empty_label=None,
        widget=forms.RadioSelect,
        help_text="More roles can be given on the page of the person. What opens records, or decides for others, "
        "waits for a second person.",
    )

    class Meta(AdminUserCreationForm.Meta):
        fields = ("username", "email", "groups")

    def save(self, commit: bool = True) -> User:
        self.instance.is_staff = True  # who has a role uses these pages
        person: User = super().save(commit)
        return person
