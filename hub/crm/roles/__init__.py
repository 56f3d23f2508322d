"""Roles: what one is (`table`), what is delivered (`presets`), what only they decide (`rules`)."""
