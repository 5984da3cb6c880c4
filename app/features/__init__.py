"""Business logic. No web framework, no direct HTTP."""
