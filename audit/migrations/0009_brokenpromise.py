from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0008_manifests"),
    ]

    operations = [
        migrations.CreateModel(
            name="BrokenPromise",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("found_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When the alarm went out.", null=True)),
                ("owner", models.CharField(blank=True, max_length=150)),
                ("explanation", models.TextField(blank=True)),
                ("explained_at", models.DateTimeField(null=True)),
                ("event_id", models.UUIDField()),
                (
                    "kind",
                    models.CharField(
                        choices=[("missing", "missing"), ("altered", "altered"), ("late", "late")], max_length=20
                    ),
                ),
                ("writer", models.CharField(max_length=100)),
                ("digest", models.CharField(max_length=64)),
                ("promised", models.CharField(help_text="The state that the receipt names.", max_length=10)),
                ("promised_at", models.DateTimeField()),
                ("sealed_by", models.DateTimeField()),
                ("why", models.TextField()),
            ],
            options={
                "ordering": ("-found_at", "-id"),
                "permissions": (("verify_receipt", "Can verify receipts"),),
                "default_permissions": ("view",),
                "constraints": [models.UniqueConstraint(fields=("event_id", "kind"), name="audit_brokenpromise_one")],
            },
        ),
    ]
