"""What is measured beside the center: written the usual way, or by others."""
