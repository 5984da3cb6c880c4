"""The HTTP transport that both integrations share: pools, address policy, errors."""
