from django.db import migrations, models

from audit.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0004_discard"),
    ]

    operations = [
        RunSqlFile("0005_parked.sql"),
        migrations.CreateModel(
            name="Episode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("began_at", models.DateTimeField(unique=True)),
                ("up_at", models.DateTimeField(null=True)),
                ("emptied_at", models.DateTimeField(null=True)),
                ("reasons", models.JSONField(default=dict)),
                ("parked", models.BigIntegerField()),
                ("stored", models.BigIntegerField()),
                ("quarantined", models.BigIntegerField()),
                ("discarded", models.BigIntegerField()),
                ("left", models.BigIntegerField()),
                ("dead", models.BigIntegerField()),
                ("deepest", models.BigIntegerField()),
                ("lost", models.BigIntegerField()),
                ("note", models.TextField(blank=True)),
                ("noted_by", models.CharField(blank=True, max_length=150)),
                ("noted_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "outage",
                "ordering": ("-began_at",),
                "permissions": (("note_episode", "Can write the remediation of an outage"),),
                "default_permissions": ("view",),
            },
        ),
    ]
