"""No index for searches by a number's beginning beside its unique one: nobody asks for that, and each row wrote it."""

from django.db import migrations

# Django names it so wherever a text is unique, and makes it on PostgreSQL only.
_UNUSED = ("notifications_notification_webhook_id_573f4d8c_like",)


class Migration(migrations.Migration):

    dependencies = [('notifications', '0007_monthly_deliveries')]

    operations = [
        migrations.RunSQL(f'DROP INDEX IF EXISTS "{name}"', migrations.RunSQL.noop) for name in _UNUSED
    ]
