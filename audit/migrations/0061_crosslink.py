from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0060_backup"),
    ]

    operations = [
        migrations.CreateModel(
            name="LogCrossLink",
            fields=[
                (
                    "checkpoint",
                    models.BigIntegerField(
                        help_text="The number of the first checkpoint under the new name.",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("note", models.TextField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_crosslink",
                "ordering": ("checkpoint",),
                "default_permissions": (),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="LogResume",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=500)),
                ("restored", models.JSONField(help_text="The head of the restored log: name, size, root.")),
                (
                    "known",
                    models.JSONField(help_text="The newest heads that are known outside: name, size, root, where."),
                ),
                ("unasked", models.JSONField(default=list, help_text="What could not be asked.")),
                ("asked_by", models.CharField(max_length=150, verbose_name="requested by")),
                ("asked_at", models.DateTimeField(verbose_name="requested at")),
                ("decision", models.CharField(blank=True, max_length=20)),
                ("decided_by", models.CharField(blank=True, max_length=150)),
                ("decided_at", models.DateTimeField(null=True)),
                ("resumed_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("-id",),
                "permissions": (("approve_logresume", "Can approve that the log of a restored store goes on"),),
                "default_permissions": (),
            },
        ),
        RunSqlFile("0061_crosslink.sql"),
    ]
