"""Sandbox versions of Entra ID, Microsoft Graph and ServiceNow, served over real HTTP. Imports nothing from `app`."""
