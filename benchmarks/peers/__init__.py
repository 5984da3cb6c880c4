"""Clients that others wrote, driven as their documentation shows, in an environment of their own. Import nothing of ours."""
