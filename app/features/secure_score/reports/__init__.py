"""Scores over time: overview, history, trends."""
