"""Clients that others wrote, driven as their documentation shows, in their own environment. Import nothing of the product."""
