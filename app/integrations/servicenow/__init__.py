"""Client for a ServiceNow instance: what to say (protocol), how to send it (client), what it means (parse_response)."""
