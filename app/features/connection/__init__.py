"""The connection to one ServiceNow instance: authorization, tokens, and the gateway that every call goes through."""
