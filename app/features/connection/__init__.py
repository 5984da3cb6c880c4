"""The one ServiceNow instance we are authorised at."""
