"""What pages show of tickets: the list, the details, the home cards, the outcomes. Read only."""
