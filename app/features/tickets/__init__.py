"""What was shared, and what ServiceNow made of it."""
