"""Work notes: written here, delivered to ServiceNow, and read back."""
