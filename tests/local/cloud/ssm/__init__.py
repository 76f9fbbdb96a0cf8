"""Systems Manager Parameter Store: corrections."""
