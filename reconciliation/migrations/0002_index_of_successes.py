from django.db import migrations

# Successes of an account in their order of time, read by the day. On `trades`' table, for this app alone.
CREATE = (
    "CREATE INDEX IF NOT EXISTS attempt_account_paid ON trades_attempt (account_id, paid_at)"
    " WHERE state = 'succeeded'"
)


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0001_initial"), ("trades", "0006_contracts")]
    operations = [migrations.RunSQL(CREATE, "DROP INDEX IF EXISTS attempt_account_paid")]
