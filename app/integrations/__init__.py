"""HTTP clients for Microsoft and ServiceNow. Nothing else in app may import httpx or authlib."""
