"""Operation: how the product itself is doing, what of its own work failed, and what an administrator can put right."""
