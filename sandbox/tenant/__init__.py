"""A fictional tenant: its controls and their scores. Control IDs are Microsoft's; every text is our own."""
