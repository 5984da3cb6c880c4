"""Import scores and control profiles from Microsoft Graph."""
