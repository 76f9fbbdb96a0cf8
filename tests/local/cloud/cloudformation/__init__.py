"""CloudFormation: corrections of templates, resource types and stack deletion."""
