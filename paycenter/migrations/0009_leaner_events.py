"""An event costs less to write: its public record is kept as the text it is, and there are fewer indexes: none by number
before it has one, none by record where the trade's number leads to it.

Rewrites the table and its indexes, which keeps others waiting for as long as it takes.
"""

from importlib import import_module

from django.db import migrations, models

import paycenter.fields

# PostgreSQL changes no column that a trigger looks at; SQLite rebuilds the table and loses its triggers with it.
_triggers = import_module("paycenter.migrations.0002_event_triggers")


class Migration(migrations.Migration):

    dependencies = [
        ('paycenter', '0008_monthly_exchanges'),
    ]

    operations = [
        migrations.RunPython(_triggers.remove, _triggers.install),
        migrations.RemoveIndex(
            model_name='event',
            name='event_public',
        ),
        migrations.RemoveIndex(
            model_name='event',
            name='event_object',
        ),
        migrations.AlterField(
            model_name='event',
            name='seq',
            field=models.BigIntegerField(null=True, verbose_name='sequence'),
        ),
        migrations.AlterField(
            model_name='event',
            name='data',
            field=paycenter.fields.ExactJSONField(null=True, verbose_name='public record'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('public', True), ('seq__isnull', False)), fields=['app_id', 'seq'], name='event_numbered'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('object_type__in', ('trade', 'attempt', 'refund')), _negated=True), fields=['object_type', 'object_id', 'id'], name='event_of_record'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.UniqueConstraint(condition=models.Q(('seq__isnull', False)), fields=('seq',), name='event_seq_unique'),
        ),
        migrations.RunPython(_triggers.install, _triggers.remove),
    ]
