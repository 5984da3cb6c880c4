"""Accidents to a running product, one after the other: `make chaos`. Measures what is lost, and how soon work goes on."""
