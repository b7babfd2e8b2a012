"""digits101: NAS-Bench-101 cells, each really trained on handwritten digits, and the builder that trains them."""
