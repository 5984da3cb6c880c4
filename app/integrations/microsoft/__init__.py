"""The embassy at Microsoft: Entra ID and Graph."""
