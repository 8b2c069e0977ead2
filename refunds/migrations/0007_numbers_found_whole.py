"""No index for searches by a number's beginning beside its unique one: nobody asks for that, and each row wrote it."""

from django.db import migrations

# Django names it so wherever a text is unique, and makes it on PostgreSQL only.
_UNUSED = ("refunds_refund_refund_no_ccf827a1_like",)


class Migration(migrations.Migration):

    dependencies = [('refunds', '0006_work_list_in_its_order')]

    operations = [
        migrations.RunSQL(f'DROP INDEX IF EXISTS "{name}"', migrations.RunSQL.noop) for name in _UNUSED
    ]
