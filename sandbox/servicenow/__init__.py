"""A stand-in ServiceNow instance."""
