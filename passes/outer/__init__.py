"""Regions over matrix products that are never formed: what belongs to one, and how it is closed."""
