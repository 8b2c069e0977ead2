"""Tries at telling apps in monthly partitions (PostgreSQL). Large tables: docs/deploy.md."""

from django.db import migrations

from paycenter.partitions.catalogue import DELIVERIES
from paycenter.partitions.converting import convert


class Migration(migrations.Migration):
    dependencies = [("notifications", "0006_deliveries_that_did_not_arrive")]
    operations = [migrations.RunPython(lambda apps, schema_editor: convert(DELIVERIES))]
