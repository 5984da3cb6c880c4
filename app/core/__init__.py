"""Technical building blocks without any knowledge of the product."""
