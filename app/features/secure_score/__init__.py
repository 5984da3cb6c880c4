"""Scores and improvement actions, imported from Graph."""
