"""One module per page or API. They never import one another; what two of them need lies beside this folder."""
