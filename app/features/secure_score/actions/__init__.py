"""Improvement actions: list, details, status, plan, export."""
