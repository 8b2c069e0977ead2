"""No index for searches by a number's beginning beside its unique one: nobody asks for that, and each row wrote it."""

from django.db import migrations

# Django names it so wherever a text is unique, and makes it on PostgreSQL only.
_UNUSED = ("trades_trade_trade_no_ee4b467d_like", "trades_attempt_attempt_no_1aa06550_like")


class Migration(migrations.Migration):

    dependencies = [('trades', '0011_days_of_payment')]

    operations = [
        migrations.RunSQL(f'DROP INDEX IF EXISTS "{name}"', migrations.RunSQL.noop) for name in _UNUSED
    ]
