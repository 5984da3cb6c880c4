"""Operation: what an administrator sees of the product’s own work and can put right."""
