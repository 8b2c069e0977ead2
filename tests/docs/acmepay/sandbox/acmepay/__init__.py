"""A stand-in for AcmePay, written from the vendor's document and not from the provider."""
