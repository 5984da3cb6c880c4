"""Measurements, side by side with other clients and with the bare minimum; each prints its tables."""
