from django.db import migrations

# Successes of an account in their order of time, read by the day; with what is summed up, so that sums need no row.
CREATE = (
    "CREATE INDEX IF NOT EXISTS attempt_account_paid ON trades_attempt (account_id, paid_at, paid_currency, paid_amount)"
    " WHERE state = 'succeeded'"
)


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0001_initial"), ("trades", "0007_refunds")]
    operations = [migrations.RunSQL(CREATE, "DROP INDEX IF EXISTS attempt_account_paid")]
