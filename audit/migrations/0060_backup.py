from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0056_purged_ids"),
    ]

    operations = [
        migrations.CreateModel(
            name="Backup",
            fields=[
                (
                    "name",
                    models.CharField(
                        help_text="The name of its folder.", max_length=100, primary_key=True, serialize=False
                    ),
                ),
                ("began_at", models.DateTimeField(help_text="All that was acknowledged before this time is in it.")),
                ("ended_at", models.DateTimeField()),
                ("bytes", models.BigIntegerField()),
                ("log_size", models.BigIntegerField(help_text="So many log entries were signed when it began.")),
                ("manifest", models.CharField(help_text="SHA-256 of its manifest.", max_length=64)),
                ("made_by", models.CharField(max_length=150)),
            ],
            options={
                "db_table": "audit_backup",
                "ordering": ("-began_at",),
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="RestoreDrill",
            fields=[
                ("n", models.BigAutoField(primary_key=True, serialize=False)),
                ("drilled_at", models.DateTimeField()),
                ("backup", models.CharField(help_text="The name of the backup that was restored.", max_length=100)),
                ("outcome", models.CharField(choices=[("success", "success"), ("failure", "failure")], max_length=10)),
                ("note", models.CharField(blank=True, max_length=1000)),
                ("drilled_by", models.CharField(max_length=150)),
            ],
            options={
                "db_table": "audit_restoredrill",
                "ordering": ("-drilled_at",),
                "default_permissions": (),
                "base_manager_name": "objects",
            },
        ),
        RunSqlFile("0060_backup.sql"),
    ]
