"""Server-side encryption: the cipher of stored bytes, the keys it takes, and where those are kept."""
