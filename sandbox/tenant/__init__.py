"""The made-up tenant: its controls and the history of its score. Every sentence is our own; control ids are facts."""
