"""People: sign-in, sessions, roles, home layout, and the audit log of what they did."""
