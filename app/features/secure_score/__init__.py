"""Microsoft Secure Score and its improvement actions, imported from Microsoft Graph."""
