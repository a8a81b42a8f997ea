"""The S3 API: routes, verbs, errors and XML over the operations of a colony."""
