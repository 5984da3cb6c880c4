"""What the commands of `python -m app` do, beyond starting a process. Each module holds the commands of one subject."""
