"""Who may use the colony: users and S3 keys, kept in the colony itself."""
