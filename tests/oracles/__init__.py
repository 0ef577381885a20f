"""References that the product must equal: slow, and easy to check by reading."""
