"""One file per S3 verb."""
