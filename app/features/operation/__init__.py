"""How the product itself is doing, for operators: what no single feature knows of."""
