"""What knows nothing of the product: errors, database, jobs, vault, clock, logs, texts."""
