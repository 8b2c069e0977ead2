"""Backups of everything the center keeps but its keys, and their restore (docs/backup.md)."""
