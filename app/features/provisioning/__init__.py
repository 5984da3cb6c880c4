"""The steps between connected and working."""
