"""Turn improvement actions and free tasks into queued tickets."""
