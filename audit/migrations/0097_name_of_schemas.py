from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0096_archive_notes"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="eventschema",
            options={
                "base_manager_name": "objects",
                "default_permissions": ("view", "add"),
                "ordering": ("event_type", "event_version", "-revision"),
                "verbose_name": "schema revision",
            },
        ),
    ]
