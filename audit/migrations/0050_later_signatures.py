"""What later signatures of a day are: state alone, no SQL."""

from django.db import migrations

from audit.operations import Words


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0049_savedview_pinned"),
    ]

    operations = [
        Words("review", {"number": "1 is the first signature; later ones countersign it or sign again."}),
    ]
