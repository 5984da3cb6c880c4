"""The security center with its ServiceNow connector."""

__version__ = "0.1.0"
