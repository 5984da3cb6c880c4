"""Pages and API: the only place where features meet. No query, no remote call, no rule of the product."""
