"""The texts of the findings, by what they are about."""
