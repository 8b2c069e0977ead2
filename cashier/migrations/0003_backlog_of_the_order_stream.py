from django.db import migrations

SECONDS = 60


def fill(apps, schema_editor):
    limits = apps.get_model("notifications", "BacklogLimit").objects
    limits.get_or_create(name="order_stream", defaults={"seconds": SECONDS})


class Migration(migrations.Migration):
    """How long a cashier order may wait in the stream before somebody is told; operators change it."""

    dependencies = [
        ("cashier", "0002_initial"),
        ("notifications", "0004_alert_rules"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
