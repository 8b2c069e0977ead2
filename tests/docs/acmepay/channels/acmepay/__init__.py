"""AcmePay, an invented wallet: signed JSON over HTTPS, one QR code and one page."""
