"""The embassies: the only speakers of HTTP and OAuth."""
