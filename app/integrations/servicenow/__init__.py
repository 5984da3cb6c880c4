"""The embassy at ServiceNow: one instance, its tables and its OAuth."""
