"""Read ticket states from ServiceNow and keep them."""
