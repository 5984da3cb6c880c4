"""The security center with its ServiceNow connector."""
