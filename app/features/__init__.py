"""The rooms: what the product does, without pages and without wires."""
