"""Strangers: stand-ins for Entra ID, Microsoft Graph and ServiceNow, over real HTTP."""
