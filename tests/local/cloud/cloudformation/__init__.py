"""CloudFormation: corrections of templates, of single resource types and of stack deletion."""
