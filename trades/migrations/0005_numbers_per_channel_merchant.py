"""Order numbers count per merchant at the channel, not per account of ours."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trades", "0004_channel_numbers")]

    operations = [
        migrations.RemoveConstraint("channelcounter", "channelcounter_unique"),
        migrations.RemoveField("channelcounter", "account"),
        migrations.AddField("channelcounter", "scope", models.CharField(default="", max_length=170), preserve_default=False),
        migrations.AddConstraint(
            "channelcounter", models.UniqueConstraint(fields=("scope", "day"), name="channelcounter_unique")
        ),
    ]
