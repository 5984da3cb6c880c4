"""Clients for Microsoft Entra ID and Microsoft Graph."""
