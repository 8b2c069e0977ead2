"""Requests and answers in monthly partitions (PostgreSQL). Large tables: docs/deploy.md."""

from django.db import migrations

from paycenter.partitions.catalogue import EXCHANGES
from paycenter.partitions.converting import convert


class Migration(migrations.Migration):
    dependencies = [("paycenter", "0007_heartbeat")]
    operations = [migrations.RunPython(lambda apps, schema_editor: convert(EXCHANGES))]
