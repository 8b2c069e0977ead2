from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('merchants', '0007_merchants_and_offers_with_two_people'),
    ]

    operations = [
        migrations.AlterField(
            model_name='changerequest',
            name='kind',
            field=models.CharField(choices=[('account_config', 'parameters of a payment account'), ('app_addresses', 'callback addresses and source addresses'), ('app_hmac', 'new HMAC secret'), ('app_rsa', 'new RSA public key'), ('app_webhook', 'new webhook secret'), ('app_opened', 'app taken into use'), ('account_opened', 'payment account taken into use'), ('refund_policy', 'refund policy'), ('staff_join', 'new staff member'), ('staff_role', 'role of a staff member'), ('staff_password', 'new password link'), ('staff_factor', 'reset of two-step verification'), ('fee_rate', 'fee rate'), ('settlement_terms', 'settlement terms'), ('merchant_opened', 'merchant taken into service'), ('account_methods', 'pay methods of a payment account'), ('account_name', 'name of a payment account'), ('app_merchants', 'merchants an app may collect for'), ('cashier_methods', 'methods of a cashier')], max_length=16, verbose_name='change'),
        ),
    ]
