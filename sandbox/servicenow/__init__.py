"""A ServiceNow sandbox instance: login, OAuth, REST APIs, business rules, access rules and fault injection."""
