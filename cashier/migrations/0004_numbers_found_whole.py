"""No index for searches by a number's beginning beside its unique one: nobody asks for that, and each row wrote it."""

from django.db import migrations

# Django names it so wherever a text is unique, and makes it on PostgreSQL only.
_UNUSED = ("cashier_cashierorder_token_9562abf0_like", "cashier_cashierorder_code_69b58ab8_like")


class Migration(migrations.Migration):

    dependencies = [('cashier', '0003_backlog_of_the_order_stream')]

    operations = [
        migrations.RunSQL(f'DROP INDEX IF EXISTS "{name}"', migrations.RunSQL.noop) for name in _UNUSED
    ]
