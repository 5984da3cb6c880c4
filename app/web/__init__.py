"""The pages: the only place where features meet."""
