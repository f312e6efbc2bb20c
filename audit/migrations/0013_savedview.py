import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0012_coverage"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("query", models.CharField(help_text="As the query bar takes it.", max_length=2000)),
                ("why", models.CharField(blank=True, help_text="What it is looked at for.", max_length=300)),
                (
                    "owner",
                    models.CharField(
                        blank=True, help_text="Nobody's where a pack of controls brought it.", max_length=150
                    ),
                ),
                ("pack", models.CharField(blank=True, max_length=50)),
                ("saved_at", models.DateTimeField()),
                (
                    "group",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to="auth.group"
                    ),
                ),
            ],
            options={
                "ordering": ("pack", "name"),
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("owner", "pack", "name"), name="audit_savedview_one")],
            },
        ),
    ]
