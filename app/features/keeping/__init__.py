"""What is kept and for how long: retention, erasing a person, backup, restore and verification."""
