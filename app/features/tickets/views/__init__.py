"""What pages show of tickets: list, details, cards, outcomes."""
